/* Writes the golden files beside it: tables laid out by the system's own headers, with what real ones have that
 * innocent ones lack (garbage beside ports, peers of listeners), and the lists of the Windows or Wine it runs on.
 *
 *   x86_64-w64-mingw32-gcc -Wall -o record.exe record.c -liphlpapi -lws2_32 -lntdll -ladvapi32 && wine record.exe
 */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <iphlpapi.h>
#include <winternl.h>
#include <winsvc.h>
#include <stdio.h>
#include <string.h>

#define GARBAGE 0xbeef0000u

static void save(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(name, "wb");
    fwrite(bytes, 1, length, file);
    fclose(file);
}

/* Lists have pointers into themselves, so the address that they were at is written before them. */
static void save_list(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(name, "wb");
    unsigned long long base = (unsigned long long)(size_t)bytes;
    fwrite(&base, 1, sizeof base, file);
    fwrite(bytes, 1, length, file);
    fclose(file);
}

static DWORD port(unsigned short number) { return GARBAGE | htons(number); }
static DWORD v4(const char *text) { return inet_addr(text); }
static void v6(unsigned char *to, unsigned char last)
{
    memset(to, 0, 16);
    to[0] = 0x20; to[1] = 0x01; to[2] = 0x0d; to[3] = 0xb8; to[15] = last;
}
/* 2026-01-02 03:04:05.678 UTC */
static LARGE_INTEGER created(void) { LARGE_INTEGER at; at.QuadPart = 134118038456780000LL; return at; }

static void tcp_tables(void)
{
    static unsigned char room[4096];
    memset(room, 0xee, sizeof room);
    MIB_TCPTABLE_OWNER_MODULE *module4 = (void *)room;
    module4->dwNumEntries = 3;
    MIB_TCPROW_OWNER_MODULE *row4 = module4->table;
    row4[0].dwState = MIB_TCP_STATE_LISTEN;
    row4[0].dwLocalAddr = v4("0.0.0.0"); row4[0].dwLocalPort = port(445);
    row4[0].dwRemoteAddr = v4("203.0.113.9"); row4[0].dwRemotePort = port(61234);
    row4[0].dwOwningPid = 4; row4[0].liCreateTimestamp.QuadPart = 0; row4[0].OwningModuleInfo[0] = 0;
    row4[1].dwState = MIB_TCP_STATE_CLOSE_WAIT;
    row4[1].dwLocalAddr = v4("192.0.2.1"); row4[1].dwLocalPort = port(49999);
    row4[1].dwRemoteAddr = v4("198.51.100.7"); row4[1].dwRemotePort = port(1433);
    row4[1].dwOwningPid = 1212; row4[1].liCreateTimestamp = created(); row4[1].OwningModuleInfo[0] = 0xabcdef0000000029ULL;
    row4[2].dwState = MIB_TCP_STATE_TIME_WAIT;
    row4[2].dwLocalAddr = v4("192.0.2.1"); row4[2].dwLocalPort = port(50001);
    row4[2].dwRemoteAddr = v4("198.51.100.7"); row4[2].dwRemotePort = port(443);
    row4[2].dwOwningPid = 0; row4[2].liCreateTimestamp.QuadPart = 0; row4[2].OwningModuleInfo[0] = 0;
    save("tcp4_module.bin", room, FIELD_OFFSET(MIB_TCPTABLE_OWNER_MODULE, table) + 3 * sizeof *row4);

    memset(room, 0xee, sizeof room);
    MIB_TCP6TABLE_OWNER_MODULE *module6 = (void *)room;
    module6->dwNumEntries = 1;
    MIB_TCP6ROW_OWNER_MODULE *row6 = module6->table;
    v6(row6->ucLocalAddr, 1); row6->dwLocalScopeId = 7; row6->dwLocalPort = port(50002);
    v6(row6->ucRemoteAddr, 2); row6->dwRemoteScopeId = 7; row6->dwRemotePort = port(389);
    row6->dwState = MIB_TCP_STATE_ESTAB; row6->dwOwningPid = 640;
    row6->liCreateTimestamp = created(); row6->OwningModuleInfo[0] = 0x11;
    save("tcp6_module.bin", room, FIELD_OFFSET(MIB_TCP6TABLE_OWNER_MODULE, table) + sizeof *row6);

    memset(room, 0xee, sizeof room);
    MIB_TCPTABLE_OWNER_PID *pid4 = (void *)room;
    pid4->dwNumEntries = 1;
    MIB_TCPROW_OWNER_PID *process4 = pid4->table;
    process4->dwState = MIB_TCP_STATE_SYN_SENT;
    process4->dwLocalAddr = v4("192.0.2.1"); process4->dwLocalPort = port(50003);
    process4->dwRemoteAddr = v4("198.51.100.8"); process4->dwRemotePort = port(25);
    process4->dwOwningPid = 77;
    save("tcp4_process.bin", room, FIELD_OFFSET(MIB_TCPTABLE_OWNER_PID, table) + sizeof *process4);

    memset(room, 0xee, sizeof room);
    MIB_TCP6TABLE_OWNER_PID *pid6 = (void *)room;
    pid6->dwNumEntries = 1;
    MIB_TCP6ROW_OWNER_PID *process6 = pid6->table;
    v6(process6->ucLocalAddr, 3); process6->dwLocalScopeId = 0; process6->dwLocalPort = port(50004);
    v6(process6->ucRemoteAddr, 4); process6->dwRemoteScopeId = 0; process6->dwRemotePort = port(587);
    process6->dwState = MIB_TCP_STATE_FIN_WAIT2; process6->dwOwningPid = 78;
    save("tcp6_process.bin", room, FIELD_OFFSET(MIB_TCP6TABLE_OWNER_PID, table) + sizeof *process6);
}

static void udp_tables(void)
{
    static unsigned char room[4096];
    memset(room, 0xee, sizeof room);
    MIB_UDPTABLE_OWNER_MODULE *module4 = (void *)room;
    module4->dwNumEntries = 1;
    MIB_UDPROW_OWNER_MODULE *row4 = module4->table;
    row4->dwLocalAddr = v4("192.0.2.1"); row4->dwLocalPort = port(53); row4->dwOwningPid = 900;
    row4->liCreateTimestamp = created(); row4->dwFlags = 1; row4->OwningModuleInfo[0] = 0x2a;
    save("udp4_module.bin", room, FIELD_OFFSET(MIB_UDPTABLE_OWNER_MODULE, table) + sizeof *row4);

    memset(room, 0xee, sizeof room);
    MIB_UDP6TABLE_OWNER_MODULE *module6 = (void *)room;
    module6->dwNumEntries = 1;
    MIB_UDP6ROW_OWNER_MODULE *row6 = module6->table;
    v6(row6->ucLocalAddr, 5); row6->dwLocalScopeId = 3; row6->dwLocalPort = port(5353); row6->dwOwningPid = 901;
    row6->liCreateTimestamp = created(); row6->dwFlags = 0; row6->OwningModuleInfo[0] = 0x2b;
    save("udp6_module.bin", room, FIELD_OFFSET(MIB_UDP6TABLE_OWNER_MODULE, table) + sizeof *row6);

    memset(room, 0xee, sizeof room);
    MIB_UDPTABLE_OWNER_PID *pid4 = (void *)room;
    pid4->dwNumEntries = 1;
    pid4->table[0].dwLocalAddr = v4("192.0.2.1"); pid4->table[0].dwLocalPort = port(123); pid4->table[0].dwOwningPid = 902;
    save("udp4_process.bin", room, FIELD_OFFSET(MIB_UDPTABLE_OWNER_PID, table) + sizeof pid4->table[0]);

    memset(room, 0xee, sizeof room);
    MIB_UDP6TABLE_OWNER_PID *pid6 = (void *)room;
    pid6->dwNumEntries = 1;
    v6(pid6->table[0].ucLocalAddr, 6); pid6->table[0].dwLocalScopeId = 0;
    pid6->table[0].dwLocalPort = port(500); pid6->table[0].dwOwningPid = 903;
    save("udp6_process.bin", room, FIELD_OFFSET(MIB_UDP6TABLE_OWNER_PID, table) + sizeof pid6->table[0]);
}

static void bound_tables(void)
{
    static unsigned char room[4096];
    memset(room, 0xee, sizeof room);
    MIB_TCPTABLE2 *bound4 = (void *)room;
    bound4->dwNumEntries = 2;
    for (int i = 0; i < 2; i++) {
        bound4->table[i].dwState = i ? 100 : 1;
        bound4->table[i].dwLocalAddr = v4("0.0.0.0"); bound4->table[i].dwLocalPort = port(50010 + i);
        bound4->table[i].dwRemoteAddr = v4("203.0.113.9"); bound4->table[i].dwRemotePort = port(1);
        bound4->table[i].dwOwningPid = 4321; bound4->table[i].dwOffloadState = 0;
    }
    save("tcp4_bound.bin", room, FIELD_OFFSET(MIB_TCPTABLE2, table) + 2 * sizeof bound4->table[0]);

    memset(room, 0xee, sizeof room);
    MIB_TCP6TABLE2 *bound6 = (void *)room;
    bound6->dwNumEntries = 1;
    MIB_TCP6ROW2 *row6 = bound6->table;
    memset(&row6->LocalAddr, 0, 16); row6->dwLocalScopeId = 0; row6->dwLocalPort = port(50012);
    memset(&row6->RemoteAddr, 0xff, 16); row6->dwRemoteScopeId = 9; row6->dwRemotePort = port(1);
    row6->State = 100; row6->dwOwningPid = 4322; row6->dwOffloadState = 0;
    save("tcp6_bound.bin", room, FIELD_OFFSET(MIB_TCP6TABLE2, table) + sizeof *row6);
}

/* Neither is in a public header; the layouts are those of System Informer (phnt/include/ntpsapi.h and ntafd.h). */
typedef struct {
    HANDLE HandleValue;
    ULONG_PTR HandleCount, PointerCount;
    ULONG GrantedAccess, ObjectTypeIndex, HandleAttributes, Reserved;
} HANDLE_ENTRY;
typedef struct { ULONG_PTR NumberOfHandles, Reserved; HANDLE_ENTRY Handles[3]; } HANDLE_SNAPSHOT;
typedef struct {
    LONG State, AddressFamily, SocketType, Protocol, LocalAddressLength, RemoteAddressLength;
    struct linger LingerInfo;
    ULONG SendTimeout, ReceiveTimeout, ReceiveBufferSize, SendBufferSize;
    USHORT Flags;
    ULONG CreationFlags, CatalogEntryId, ServiceFlags1, ProviderFlags, GroupID, GroupType;
    LONG GroupPriority, LastError;
    PVOID AsyncSelectWindow;
    ULONG AsyncSelectSerialNumber, AsyncSelectMessage;
    LONG AsyncSelectEvent, DisabledAsyncSelectEvents;
} SHARED_INFO;
#pragma pack(push, 1)
typedef struct { ULONG ActivityCount; LONG Addresses; USHORT Length, Type, Port; ULONG Address; UCHAR Zero[8]; } TDI_ADDRESS;
#pragma pack(pop)

static void handles(void)
{
    HANDLE_SNAPSHOT list;
    memset(&list, 0xee, sizeof list);
    list.NumberOfHandles = 3;
    const unsigned long long values[3] = { 0x44, 0x100000048ULL, 0x4c };
    const ULONG types[3] = { 37, 16, 37 };
    for (int i = 0; i < 3; i++) {
        list.Handles[i].HandleValue = (HANDLE)values[i];
        list.Handles[i].ObjectTypeIndex = types[i];
    }
    save("handles.bin", &list, sizeof list);
}

static void shared(const char *name, LONG state, LONG type, LONG protocol, USHORT flags)
{
    SHARED_INFO info;
    memset(&info, 0xee, sizeof info);
    info.State = state; info.AddressFamily = AF_INET; info.SocketType = type; info.Protocol = protocol;
    info.LocalAddressLength = info.RemoteAddressLength = 16; info.Flags = flags;
    save(name, &info, sizeof info);
}

static void afd(void)
{
    shared("afd_bound.bin", 1, SOCK_STREAM, IPPROTO_TCP, 0x1040);
    shared("afd_listening.bin", 1, SOCK_STREAM, IPPROTO_TCP, 0x1041);
    shared("afd_connected.bin", 3, SOCK_STREAM, IPPROTO_TCP, 0x1040);
    shared("afd_udp.bin", 1, SOCK_DGRAM, IPPROTO_UDP, 0x1040);

    unsigned char room[128];
    memset(room, 0xee, sizeof room);
    struct sockaddr_in *name4 = (void *)room;
    name4->sin_family = AF_INET; name4->sin_port = htons(50005); name4->sin_addr.s_addr = v4("192.0.2.1");
    save("afd_address_v4.bin", room, sizeof room);

    memset(room, 0xee, sizeof room);
    struct sockaddr_in6 *name6 = (void *)room;
    name6->sin6_family = AF_INET6; name6->sin6_port = htons(50006); v6((unsigned char *)&name6->sin6_addr, 5);
    save("afd_address_v6.bin", room, sizeof room);

    memset(room, 0xee, sizeof room);
    TDI_ADDRESS *tdi = (void *)room;
    tdi->ActivityCount = 2; tdi->Addresses = 1; tdi->Length = 14; tdi->Type = AF_INET;
    tdi->Port = htons(50005); tdi->Address = v4("192.0.2.1");
    save("afd_address_tdi.bin", room, sizeof room);
}

static void lists(void)
{
    static unsigned char room[1 << 20];
    ULONG length = 0;
    NTSTATUS status = NtQuerySystemInformation(SystemProcessInformation, room, sizeof room, &length);
    if (status == 0) save_list("processes.bin", room, length);

    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_ENUMERATE_SERVICE);
    DWORD needed = 0, count = 0, resume = 0;
    static unsigned char services[4096];
    BOOL all = EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_STATE_ALL,
        services, sizeof services, &needed, &count, &resume, NULL);
    printf("%lu processes' bytes, %lu services, all: %d\n", length, count, all);
    save_list("services.bin", services, sizeof services);
}

int main(void)
{
    tcp_tables();
    udp_tables();
    bound_tables();
    handles();
    afd();
    lists();
    printf("process image name at %d, number at %d\n", (int)FIELD_OFFSET(SYSTEM_PROCESS_INFORMATION, ImageName),
        (int)FIELD_OFFSET(SYSTEM_PROCESS_INFORMATION, UniqueProcessId));
    return 0;
}
