/* What actions of the tests are done to, built with mingw-w64: a service, one that hangs, a process, a hook.
   subject.exe service | hang   run by the service control manager; tells its starts and stops in C:\order.log
   subject.exe wait             prints its number and its start in unix milliseconds, and stays
   subject.exe                  a hook: prints what it was given, and what it must not be given */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static SERVICE_STATUS_HANDLE manager;
static HANDLE stop_asked;
static int hangs;

static void note(const char *what, const WCHAR *service) {
    FILE *log = fopen("C:\\order.log", "a");
    if (log) {
        fprintf(log, "%s %ls\n", what, service);
        fclose(log);
    }
}

static void tell(DWORD state) {
    SERVICE_STATUS status = {0};
    status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP : 0;
    status.dwWaitHint = 1000;
    SetServiceStatus(manager, &status);
}

static DWORD WINAPI hear(DWORD control, DWORD type, void *data, void *context) {
    if (control == SERVICE_CONTROL_STOP) {
        tell(SERVICE_STOP_PENDING);
        if (!hangs)
            SetEvent(stop_asked);
    }
    return NO_ERROR;
}

static void WINAPI run(DWORD count, WCHAR **arguments) {
    const WCHAR *name = count > 0 ? arguments[0] : L"?";
    stop_asked = CreateEventW(NULL, TRUE, FALSE, NULL);
    manager = RegisterServiceCtrlHandlerExW(name, hear, NULL);
    note("start", name);
    tell(SERVICE_RUNNING);
    WaitForSingleObject(stop_asked, INFINITE);
    note("stop", name);
    tell(SERVICE_STOPPED);
}

static int wait_for_the_end(void) {
    FILETIME created, exited, kernel, user;
    GetProcessTimes(GetCurrentProcess(), &created, &exited, &kernel, &user);
    unsigned long long units = ((unsigned long long)created.dwHighDateTime << 32) | created.dwLowDateTime;
    printf("%lu %llu\n", GetCurrentProcessId(), units / 10000 - 11644473600000ULL);
    fflush(stdout);
    Sleep(INFINITE);
    return 0;
}

static int be_a_hook(void) {
    const char *pool = getenv("TIDEMARK_ARG_POOL");
    const char *secret = getenv("SECRET_OF_THE_AGENT");
    printf("pool: %s\nsecret: %s\n", pool ? pool : "none", secret ? secret : "none");
    return pool && strcmp(pool, "fail") == 0 ? 7 : 0;
}

int main(int count, char **arguments) {
    const char *role = count > 1 ? arguments[1] : "";
    SERVICE_TABLE_ENTRYW table[] = {{L"", run}, {NULL, NULL}};
    hangs = strcmp(role, "hang") == 0;
    if (hangs || strcmp(role, "service") == 0)
        return !StartServiceCtrlDispatcherW(table);
    return strcmp(role, "wait") == 0 ? wait_for_the_end() : be_a_hook();
}
