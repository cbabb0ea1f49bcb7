<#
.SYNOPSIS
Checks on a real Windows Server what Tidemark's tests under Wine and with recorded data cannot show.

.DESCRIPTION
One line a check: PASS, FAIL or UNKNOWN, its name, and the evidence. UNKNOWN means that this server cannot tell (no such
event yet, a cmdlet that is missing, no administrator), not that all is well. Exits with 1 when a check failed, else 0.
The numbers are those of the table in docs/WINDOWS.md. Nothing on the server is changed: registry, event logs, tables and
services are read, the agent is asked, and a few sockets are bound for a moment, one by this script, others by the agent. The compiler of .NET leaves
files in the folder for temporary ones, as every Add-Type does.

PowerShell 4 (Server 2012 R2) or later, as an administrator, with the agent installed and running for some minutes.

.EXAMPLE
powershell -NoProfile -ExecutionPolicy Bypass -File check-real-windows.ps1

.EXAMPLE
powershell -NoProfile -ExecutionPolicy Bypass -File check-real-windows.ps1 -Agent D:\Tools\tidemark-agent.exe
#>
[CmdletBinding()]
param(
    # Where the agent's program is, when it was not installed by the MSI.
    [string]$Agent = (Join-Path $env:ProgramFiles 'Tidemark\tidemark-agent.exe'),
    # Where the agent keeps its state.
    [string]$State = (Join-Path $env:ProgramData 'Tidemark\state')
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ServiceName = 'tidemark-agent'
$ServiceKey = "HKLM:\SYSTEM\CurrentControlSet\Services\$ServiceName"
$Netsh = Join-Path $env:SystemRoot 'System32\netsh.exe'
$script:Failed = 0
$script:Counts = @{ PASS = 0; FAIL = 0; UNKNOWN = 0 }

function Write-Result([string]$Verdict, [string]$Name, [string]$Evidence) {
    $script:Counts[$Verdict]++
    if ($Verdict -eq 'FAIL') { $script:Failed++ }
    $line = ($Evidence -replace '\s+', ' ').Trim()
    if ($line.Length -gt 400) { $line = $line.Substring(0, 400) + '...' }
    Write-Output ('{0,-7} {1,-28} {2}' -f $Verdict, $Name, $line)
}

# Runs one check; its block returns a verdict and the evidence. What it throws is UNKNOWN, never silence.
function Test-Point([string]$Name, [scriptblock]$Check) {
    try {
        $answer = @(& $Check)
        if ($answer.Count -lt 2) { throw 'the check returned nothing' }
        Write-Result $answer[-2] $Name $answer[-1]
    } catch {
        Write-Result 'UNKNOWN' $Name ('cannot be checked: ' + $_.Exception.Message)
    }
}

function Get-Value([string]$Path, [string]$Name) {
    $item = Get-ItemProperty -LiteralPath $Path -ErrorAction SilentlyContinue
    if ($null -eq $item) { return $null }
    $property = $item.PSObject.Properties[$Name]
    if ($null -eq $property) { return $null }
    return $property.Value
}

# Output of a program and its exit code; the program gets a minute.
function Invoke-Program([string]$File, [string]$Arguments) {
    $start = New-Object System.Diagnostics.ProcessStartInfo
    $start.FileName = $File
    $start.Arguments = $Arguments
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    $output = $process.StandardOutput.ReadToEndAsync()
    $errors = $process.StandardError.ReadToEndAsync()
    if (-not $process.WaitForExit(60000)) {
        $process.Kill()
        throw "$File does not end within a minute"
    }
    return New-Object PSObject -Property @{
        Code = $process.ExitCode; Output = $output.Result; Errors = $errors.Result
    }
}

# First and last port of what netsh prints; labels are in the server's language, digits are not.
function Get-NetshRange([string]$Family, [string]$Protocol) {
    $asked = Invoke-Program $Netsh "int $Family show dynamicport $Protocol"
    $numbers = @([regex]::Matches($asked.Output, '(?m)(\d+)\s*$') | ForEach-Object { [int]$_.Groups[1].Value })
    if ($asked.Code -ne 0 -or $numbers.Count -lt 2) { throw "netsh said: $($asked.Output)" }
    return "$($numbers[0])+$($numbers[1])"
}

function Get-Snapshot {
    if ($null -eq $script:Snapshot) {
        $taken = Invoke-Program $Agent 'snapshot --json'
        if ($taken.Code -ne 0) { throw "snapshot ended with $($taken.Code): $($taken.Errors)" }
        $script:Snapshot = $taken.Output | ConvertFrom-Json
    }
    return $script:Snapshot
}
$script:Snapshot = $null

# How the agent says that this server is configured.
function Get-Audit {
    if ($null -eq $script:Audit) {
        $taken = Invoke-Program $Agent 'snapshot --audit --over 0s --json'
        if ($taken.Code -ne 0) { throw "snapshot --audit ended with $($taken.Code): $($taken.Errors)" }
        $script:Audit = ($taken.Output | ConvertFrom-Json).audit
    }
    return $script:Audit
}
$script:Audit = $null

# The facts of that name that are known, as text and sorted.
function Get-Facts([string]$Name) {
    $found = @((Get-Audit).facts | Where-Object { $_.name -eq $Name -and $_.state -isnot [string] })
    $known = @($found | Where-Object { $null -ne $_.state.PSObject.Properties['known'] })
    return @($known | ForEach-Object {
        $value = @($_.state.known.PSObject.Properties)[0].Value
        if ($null -ne $value -and $null -ne $value.PSObject.Properties['first']) { "$($value.first)-$($value.last)" }
        else { "$value" }
    } | Sort-Object)
}

# Whether the agent and the system name the same things.
function Compare-Said([string[]]$Agent, [string[]]$System) {
    $evidence = "agent: $($Agent -join ', '); system: $($System -join ', ')"
    if ($Agent.Count -eq 0 -and $System.Count -eq 0) { return 'UNKNOWN', 'neither says anything' }
    if (($Agent -join '|') -eq ($System -join '|')) { return 'PASS', $evidence }
    return 'FAIL', $evidence
}

function Get-TcpSpace {
    $spaces = @((Get-Snapshot).port_spaces | Where-Object { $_.key.protocol -eq 'tcp' })
    if ($spaces.Count -eq 0) { throw 'the snapshot has no TCP port space' }
    return $spaces[0]
}

function Get-Events([string]$Provider, [int[]]$Ids) {
    $filter = @{ LogName = 'System'; ProviderName = $Provider; Id = $Ids }
    return @(Get-WinEvent -FilterHashtable $filter -MaxEvents 200 -ErrorAction SilentlyContinue)
}

$version = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$build = [int]$version.CurrentBuildNumber
$identity = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
$isAdministrator = $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
Write-Output ('{0}, build {1}.{2}, PowerShell {3}, administrator: {4}' -f $version.ProductName, $build,
    (Get-Value 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' 'UBR'), $PSVersionTable.PSVersion, $isAdministrator)

# --- the program -------------------------------------------------------------------------------------------------

Test-Point '01 program-starts' {
    $said = Invoke-Program $Agent '--version'
    if ($said.Code -eq 0) { 'PASS', $said.Output } else { 'FAIL', "exit code $($said.Code): $($said.Errors)" }
}
Test-Point '02 signature' {
    $signature = Get-AuthenticodeSignature -FilePath $Agent
    if ($signature.Status -eq 'Valid') { 'PASS', $signature.SignerCertificate.Subject }
    elseif ($signature.Status -eq 'NotSigned') { 'UNKNOWN', 'the program is not signed' }
    else { 'FAIL', "$($signature.Status): $($signature.StatusMessage)" }
}

# --- the service and what the MSI made -----------------------------------------------------------------------------

Test-Point '03 service-runs' {
    $service = Get-Service -Name $ServiceName -ErrorAction SilentlyContinue
    if ($null -eq $service) { 'FAIL', "there is no service $ServiceName" }
    elseif ($service.Status -eq 'Running') { 'PASS', 'Running' }
    else { 'FAIL', "it is $($service.Status); its reason is in the Application log, source Tidemark" }
}
Test-Point '04 image-path-quoted' {
    $path = [string](Get-Value $ServiceKey 'ImagePath')
    if ($path -eq '') { 'UNKNOWN', 'there is no service' }
    elseif ($path.StartsWith('"') -or -not ($path -replace '\.exe.*$', '').Contains(' ')) { 'PASS', $path }
    else { 'FAIL', "a path with spaces and no quotes: $path" }
}
Test-Point '05 recovery' {
    $bytes = [byte[]](Get-Value $ServiceKey 'FailureActions')
    if ($null -eq $bytes -or $bytes.Length -lt 44) { return 'FAIL', 'no recovery actions are set' }
    # SERVICE_FAILURE_ACTIONS as stored: reset, two offsets, count, offset, then pairs of type and delay.
    $count = [BitConverter]::ToUInt32($bytes, 12)
    $delays = @(0..($count - 1) | ForEach-Object { [BitConverter]::ToUInt32($bytes, 24 + 8 * $_) })
    $types = @(0..($count - 1) | ForEach-Object { [BitConverter]::ToUInt32($bytes, 20 + 8 * $_) })
    $others = @($types | Where-Object { $_ -ne 1 })
    $evidence = "reset after $([BitConverter]::ToUInt32($bytes, 0)) s, restart after $($delays -join ', ') ms"
    if ($others.Count -eq 0 -and ($delays -join ',') -eq '5000,30000,60000') { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '06 start-settings' {
    $found = 'Start={0} DelayedAutostart={1} FailureActionsOnNonCrashFailures={2} ServiceSidType={3} PreshutdownTimeout={4}' -f
        (Get-Value $ServiceKey 'Start'), (Get-Value $ServiceKey 'DelayedAutostart'),
        (Get-Value $ServiceKey 'FailureActionsOnNonCrashFailures'), (Get-Value $ServiceKey 'ServiceSidType'),
        (Get-Value $ServiceKey 'PreshutdownTimeout')
    $wanted = 'Start=2 DelayedAutostart=1 FailureActionsOnNonCrashFailures=1 ServiceSidType=1 PreshutdownTimeout=75000'
    if ($found -eq $wanted) { 'PASS', $found } else { 'FAIL', "$found; wanted: $wanted" }
}
Test-Point '07 data-folder-private' {
    $allowed = @('S-1-5-18', 'S-1-5-32-544', 'S-1-3-4')
    $list = Get-Acl -LiteralPath $State
    $sid = [Security.Principal.SecurityIdentifier]
    $others = @($list.GetAccessRules($true, $true, $sid) |
        Where-Object { $_.AccessControlType -eq 'Allow' -and $allowed -notcontains $_.IdentityReference.Value })
    $owner = $list.GetOwner($sid).Value
    if ($others.Count -eq 0 -and $list.AreAccessRulesProtected -and $allowed -contains $owner) { 'PASS', $list.Sddl }
    else { 'FAIL', $list.Sddl }
}
Test-Point '08 join-token-gone' {
    $token = Get-Value 'HKLM:\SOFTWARE\Tidemark\Agent' 'Token'
    if ([string]::IsNullOrEmpty($token)) { 'PASS', 'no token in the registry' }
    else { 'FAIL', 'HKLM\SOFTWARE\Tidemark\Agent\Token is there; it goes when the host is enrolled' }
}
Test-Point '09 priority' {
    $class = @(Get-Process -Name 'tidemark-agent').PriorityClass
    if (@($class | Where-Object { "$_" -ne 'BelowNormal' }).Count -eq 0) { 'PASS', "$class" } else { 'FAIL', "$class" }
}
Test-Point '10 application-log' {
    $filter = @{ LogName = 'Application'; ProviderName = 'Tidemark' }
    $events = @(Get-WinEvent -FilterHashtable $filter -MaxEvents 20 -ErrorAction SilentlyContinue)
    if ($events.Count -eq 0) { return 'FAIL', 'no event of source Tidemark, though the agent tells of its start' }
    $dumb = @($events | Where-Object { [string]::IsNullOrEmpty($_.Message) })
    if ($dumb.Count -eq 0) { 'PASS', "$($events.Count) events, as $($events[0].Id): $($events[0].Message)" }
    else { 'FAIL', "$($dumb.Count) of $($events.Count) events have no text: the message table is not found" }
}

# --- socket tables -------------------------------------------------------------------------------------------------

Test-Point '11 snapshot' {
    $space = Get-TcpSpace
    'PASS', "TCP $($space.range.first)-$($space.range.last), capacity $($space.capacity), strong $($space.strong), quality $($space.quality)"
}
Test-Point '12 owners-named' {
    $space = Get-TcpSpace
    $owners = @($space.owners)
    if ($owners.Count -eq 0) { return 'UNKNOWN', 'no dynamic TCP port is held by a process' }
    $named = @($owners | Where-Object { $_.process.pid -gt 0 -and $_.process.name })
    $evidence = "$($named.Count) of $($owners.Count) owners named, first: $($owners[0].process.name); $($space.ports_without_owner) ports without owner"
    if ($named.Count -eq $owners.Count -and $space.ports_without_owner -le $space.strong / 10) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '13 services-named' {
    $shared = @((Get-Snapshot).port_spaces | ForEach-Object { $_.owners } | Where-Object { $_.process.name -like 'svchost*' })
    if ($shared.Count -eq 0) { return 'UNKNOWN', 'no svchost holds a dynamic port' }
    $named = @($shared | Where-Object { $_.process.service })
    $evidence = "$($named.Count) of $($shared.Count) svchost owners have a service"
    if ($named.Count -gt 0) { 'PASS', "$evidence, first: $($named[0].process.service)" } else { 'FAIL', $evidence }
}
Test-Point '14 counts-agree' {
    $space = Get-TcpSpace
    $first = $space.range.first
    $last = $space.range.last
    $ports = @(Get-NetTCPConnection | Where-Object { $_.LocalPort -ge $first -and $_.LocalPort -le $last -and "$($_.State)" -ne 'TimeWait' } |
        Select-Object -ExpandProperty LocalPort -Unique)
    $difference = [Math]::Abs($ports.Count - $space.strong)
    $evidence = "agent: $($space.strong) ports, Get-NetTCPConnection: $($ports.Count), taken one after the other"
    if ($difference -le [Math]::Max(20, $space.strong / 5)) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '15 time-wait-owner' {
    $rows = @(Get-NetTCPConnection -State TimeWait -ErrorAction SilentlyContinue)
    if ($rows.Count -eq 0) { return 'UNKNOWN', 'no connection is in TIME_WAIT' }
    $owned = @($rows | Where-Object { $_.OwningProcess -ne 0 })
    if ($owned.Count -eq 0) { 'PASS', "$($rows.Count) rows, all of process 0, as the agent assumes" }
    else { 'FAIL', "$($owned.Count) of $($rows.Count) rows have a process" }
}

# The agent asks these exports of iphlpapi.dll; whether an old build has them is not documented.
$native = @'
using System;
using System.Runtime.InteropServices;
public static class TidemarkCheck {
    [DllImport("kernel32.dll", CharSet = CharSet.Unicode)] static extern IntPtr LoadLibraryW(string name);
    [DllImport("kernel32.dll", CharSet = CharSet.Ansi)] static extern IntPtr GetProcAddress(IntPtr module, string name);
    public static bool Has(string library, string name) {
        return GetProcAddress(LoadLibraryW(library), name) != IntPtr.Zero;
    }
}
'@
Test-Point '16 bound-export' {
    Add-Type -TypeDefinition $native
    $v4 = [TidemarkCheck]::Has('iphlpapi.dll', 'InternalGetBoundTcpEndpointTable')
    $v6 = [TidemarkCheck]::Has('iphlpapi.dll', 'InternalGetBoundTcp6EndpointTable')
    $evidence = "build ${build}: v4 $v4, v6 $v6; the agent calls it unasked from build 17763 on"
    if ($v4 -and $v6) { 'PASS', $evidence } elseif ($build -ge 17763) { 'FAIL', $evidence } else { 'UNKNOWN', $evidence }
}
Test-Point '17 bound-socket-seen' {
    $socket = New-Object System.Net.Sockets.Socket([System.Net.Sockets.AddressFamily]::InterNetwork,
        [System.Net.Sockets.SocketType]::Stream, [System.Net.Sockets.ProtocolType]::Tcp)
    try {
        $socket.Bind((New-Object System.Net.IPEndPoint([System.Net.IPAddress]::Loopback, 0)))
        $port = ([System.Net.IPEndPoint]$socket.LocalEndPoint).Port
        $taken = Invoke-Program $Agent 'snapshot --json'
        $space = @(($taken.Output | ConvertFrom-Json).port_spaces | Where-Object { $_.key.protocol -eq 'tcp' })[0]
        $listed = @(Get-NetTCPConnection -LocalPort $port -ErrorAction SilentlyContinue | ForEach-Object { "$($_.State)" })
        $evidence = "port $port bound; the agent counts $($space.bound) bound ports, quality $($space.quality | ConvertTo-Json -Compress); Get-NetTCPConnection: $($listed -join ',')"
        if ($space.bound -ge 1) { 'PASS', $evidence } elseif ($build -ge 17763) { 'FAIL', $evidence } else { 'UNKNOWN', $evidence }
    } finally {
        $socket.Close()
    }
}

# --- dynamic ports ---------------------------------------------------------------------------------------------------

Test-Point '18 range-by-wmi' {
    $space = Get-TcpSpace
    $settings = @(Get-CimInstance -Namespace root/StandardCimv2 -ClassName MSFT_NetTCPSetting |
        Where-Object { $_.DynamicPortRangeNumberOfPorts -gt 0 })
    $ranges = @($settings | ForEach-Object { "$($_.DynamicPortRangeStartPort)+$($_.DynamicPortRangeNumberOfPorts)" } | Select-Object -Unique)
    $agents = "$($space.range.first)+$($space.range.last - $space.range.first + 1)"
    $evidence = "WMI $($ranges -join ', '), agent $agents"
    if ($ranges.Count -eq 0) { 'UNKNOWN', 'WMI tells no range' }
    elseif ($ranges -contains $agents) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '19 range-by-netsh' {
    $space = Get-TcpSpace
    $agents = "$($space.range.first)+$($space.range.last - $space.range.first + 1)"
    $netshs = Get-NetshRange 'ipv4' 'tcp'
    if ($netshs -eq $agents) { 'PASS', "netsh and agent: $netshs" } else { 'FAIL', "netsh $netshs, agent $agents" }
}
Test-Point '20 range-v4-v6-coupled' {
    $pairs = @('tcp', 'udp' | ForEach-Object { "$_ v4 $(Get-NetshRange 'ipv4' $_) v6 $(Get-NetshRange 'ipv6' $_)" })
    $apart = @('tcp', 'udp' | Where-Object { (Get-NetshRange 'ipv4' $_) -ne (Get-NetshRange 'ipv6' $_) })
    if ($apart.Count -eq 0) { 'PASS', "$($pairs -join '; ') (equal; that one follows the other is not shown)" }
    else { 'FAIL', "$($pairs -join '; '): the agent takes them to be one range" }
}
Test-Point '21 excluded-ranges' {
    $asked = Invoke-Program $Netsh 'int ipv4 show excludedportrange protocol=tcp'
    $ranges = [regex]::Matches($asked.Output, '(?m)^\s*(\d+)\s+(\d+)(\s+\*)?\s*$')
    $space = Get-TcpSpace
    $first = $space.range.first
    $last = $space.range.last
    $excluded = 0
    foreach ($range in $ranges) {
        $low = [Math]::Max([int]$range.Groups[1].Value, $first)
        $high = [Math]::Min([int]$range.Groups[2].Value, $last)
        if ($high -ge $low) { $excluded += $high - $low + 1 }
    }
    $expected = $last - $first + 1 - $excluded
    $evidence = "$($ranges.Count) excluded ranges with $excluded dynamic ports; capacity should be $expected, agent says $($space.capacity)"
    if ($asked.Code -ne 0) { 'UNKNOWN', "netsh: $($asked.Output)" }
    elseif ($expected -eq $space.capacity) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '22 netsh-store-active' {
    $help = Invoke-Program $Netsh 'int ipv4 set dynamicport ?'
    if ($help.Output -match 'store=' -and $help.Output -match 'active') { 'PASS', 'its help names store=active; whether it ends at a restart is not shown' }
    else { 'FAIL', "its help names no store=active: $($help.Output)" }
}
Test-Point '23 chimney' {
    $global = Get-CimInstance -Namespace root/StandardCimv2 -ClassName MSFT_NetOffloadGlobalSetting
    $asked = Invoke-Program $Netsh 'int tcp show global'
    $property = $global.CimInstanceProperties['Chimney']
    $value = if ($null -eq $property) { 'no such property' } else { "$($property.Value)" }
    if ($null -eq $property -and $asked.Code -ne 0) { 'UNKNOWN', "neither WMI nor netsh tell: $($asked.Output)" }
    else { 'PASS', "WMI Chimney: $value; netsh mentions chimney: $($asked.Output -match 'himney')" }
}

# --- events ----------------------------------------------------------------------------------------------------------

Test-Point '24 events-subscribed' {
    $read = Invoke-Program $Agent 'events -o json'
    if ($read.Code -eq 0) { 'PASS', "the agent reads the System and the Application log: $($read.Output.Length) characters" }
    else { 'FAIL', "exit code $($read.Code): $($read.Errors)" }
}
Test-Point '25 tcpip-event-shape' {
    $events = Get-Events 'Tcpip' @(4227, 4231, 4266)
    if ($events.Count -eq 0) { return 'UNKNOWN', 'no event 4227, 4231 or 4266 in the System log' }
    $xml = [xml]$events[0].ToXml()
    $data = $xml.Event.EventData
    $binary = if ($null -ne $data -and $null -ne $data['Binary']) { $data['Binary'].InnerText } else { '' }
    # IO_ERROR_LOG_PACKET: the error code is the little-endian number at byte 12.
    $code = if ($binary.Length -ge 32) { $binary.Substring(24, 8) } else { '' }
    $expected = @{ 4227 = '83100080'; 4231 = '87100080'; 4266 = 'AA100080' }[[int]$events[0].Id]
    if ($code -eq $expected) { 'PASS', "event $($events[0].Id) carries error code $code" }
    else { 'FAIL', "event $($events[0].Id): $($events[0].ToXml())" }
}
Test-Point '26 event-4231-repeats' {
    $events = @(Get-Events 'Tcpip' @(4231, 4266) | Sort-Object TimeCreated)
    if ($events.Count -lt 2) { return 'UNKNOWN', "$($events.Count) events 4231 and 4266: too few to see how they repeat" }
    $gaps = @(1..($events.Count - 1) | ForEach-Object { ($events[$_].TimeCreated - $events[$_ - 1].TimeCreated).TotalSeconds })
    $shortest = ($gaps | Measure-Object -Minimum).Minimum
    'UNKNOWN', "$($events.Count) events, the shortest pause is $shortest s: compare with how long the ports were exhausted"
}
Test-Point '27 afd-16002-shape' {
    $events = Get-Events 'AFD' @(16002)
    if ($events.Count -eq 0) { return 'UNKNOWN', 'no event AFD 16002 in the System log' }
    $numbers = @(([xml]$events[0].ToXml()).Event.EventData.ChildNodes | Where-Object { $_.InnerText -match '^\d+$' })
    if ($numbers.Count -ge 2) { 'PASS', "numbers in order: $(@($numbers | ForEach-Object { $_.InnerText }) -join ', '): $($events[0].Message)" }
    else { 'FAIL', $events[0].ToXml() }
}

# --- surviving an exhaustion -------------------------------------------------------------------------------------------

Test-Point '28 source-port-outside' {
    $agents = @(Get-Process -Name 'tidemark-agent' | Select-Object -ExpandProperty Id)
    $space = Get-TcpSpace
    $first = $space.range.first
    $last = $space.range.last
    $streams = @(Get-NetTCPConnection -State Established | Where-Object { $agents -contains $_.OwningProcess -and $_.RemotePort -ne 0 })
    if ($streams.Count -eq 0) { return 'UNKNOWN', 'the agent is connected to no controller' }
    $inside = @($streams | Where-Object { $_.LocalPort -ge $first -and $_.LocalPort -le $last })
    $evidence = "local ports of its connections: $(@($streams | ForEach-Object { $_.LocalPort }) -join ', '); dynamic: $first-$last"
    if ($inside.Count -eq 0) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '29 exhaustion-codes' {
    'UNKNOWN', 'WSAENOBUFS (10055) at exhaustion and reuse of TIME_WAIT ports by connect() show only on a server that has run out of ports'
}
Test-Point '30 mended-builds' {
    $updates = @(Get-HotFix | Where-Object { 'KB3123245', 'KB3149157', 'KB3014399', 'KB4345424', 'KB4345418', 'KB4345459' -contains $_.HotFixID } |
        ForEach-Object { $_.HotFixID })
    $driver = (Get-Item -LiteralPath (Join-Path $env:SystemRoot 'System32\drivers\tcpip.sys')).VersionInfo
    'UNKNOWN', "tcpip.sys $($driver.ProductVersion), of the known updates: $($updates -join ', '); cumulative updates hide them, so compare by hand"
}

Test-Point '31 status-answered' {
    $said = Invoke-Program $Agent 'status'
    if ($said.Code -eq 0) { 'PASS', $said.Output } else { 'FAIL', "exit code $($said.Code): $($said.Errors)$($said.Output)" }
}

# --- bound sockets without the export, and what the agent says that it sees -------------------------------------------

# What the agent would do where iphlpapi does not list bound sockets, done once in a process of its own.
function Test-Way([string]$Way) {
    $tried = Invoke-Program $Agent "bound-self-test --by $Way"
    if ($tried.Code -eq 0) { 'PASS', $tried.Output }
    elseif ($tried.Code -eq 1 -and $build -lt 17763) { 'UNKNOWN', "not on this build: $($tried.Errors)" }
    else { 'FAIL', "exit code $($tried.Code): $($tried.Errors)" }
}
Test-Point '32 bound-by-wmi' { Test-Way 'wmi' }
Test-Point '33 bound-by-handles' { Test-Way 'afd' }
Test-Point '34 capabilities-told' {
    $said = Invoke-Program $Agent 'status --json'
    if ($said.Code -ne 0) { return 'FAIL', "exit code $($said.Code): $($said.Errors)" }
    $told = @(($said.Output | ConvertFrom-Json).agent.capabilities)
    if ($told.Count -eq 0) { return 'FAIL', 'the agent tells nothing of what it sees' }
    $lines = @($told | ForEach-Object { "$($_.capability) $($_.state) $($_.how) $($_.why)" })
    $open = @($told | Where-Object { $_.state -eq 'unknown' -or ($_.state -ne 'yes' -and -not $_.why) })
    if ($open.Count -eq 0) { 'PASS', ($lines -join '; ') } else { 'FAIL', ($lines -join '; ') }
}
Test-Point '35 event-sources' {
    # The log is asked for these names letter by letter.
    $asked = @{
        System = @('Tcpip', 'AFD', 'NETLOGON', 'Microsoft-Windows-GroupPolicy', 'EventLog', 'Microsoft-Windows-Eventlog',
            'Microsoft-Windows-DNS-Client', 'srv', 'Microsoft-Windows-Resource-Exhaustion-Detector',
            'Microsoft-Windows-NDIS', 'Service Control Manager', 'User32', 'USER32', 'Microsoft-Windows-Kernel-General')
        Application = @('MSSQLSERVER', '.NET Runtime')
    }
    $seen = @()
    $other = @()
    foreach ($log in $asked.Keys) {
        $names = @(Get-WinEvent -LogName $log -MaxEvents 5000 -ErrorAction SilentlyContinue |
            ForEach-Object { $_.ProviderName } | Select-Object -Unique)
        foreach ($name in $asked[$log]) {
            if ($names -ccontains $name) { $seen += $name }
            elseif ($names -contains $name -and $name -ne 'User32' -and $name -ne 'USER32') { $other += $name }
        }
    }
    $evidence = "written here under these names: $($seen -join ', '); in other letters: $($other -join ', ')"
    if ($other.Count -gt 0) { 'FAIL', $evidence } elseif ($seen.Count -gt 0) { 'PASS', $evidence } else { 'UNKNOWN', $evidence }
}
Test-Point '36 messages-registered' {
    $key = 'HKLM:\SYSTEM\CurrentControlSet\Services\EventLog\Application\Tidemark'
    $file = [string](Get-Value $key 'EventMessageFile')
    if ($file -eq '') { 'FAIL', 'no messages are registered with the Application log' }
    elseif (Test-Path -LiteralPath ([Environment]::ExpandEnvironmentVariables($file))) { 'PASS', "$file; the key has to be gone after msiexec /x" }
    else { 'FAIL', "$file is not there" }
}

Test-Point '37 configuration-read' {
    $topics = @((Get-Audit).topics.PSObject.Properties)
    $unread = @($topics | Where-Object { $_.Value -isnot [string] } | ForEach-Object { "$($_.Name): $($_.Value.unread)" })
    $facts = @((Get-Audit).facts | Where-Object { $_.state -isnot [string] -and $null -ne $_.state.PSObject.Properties['unknown'] } |
        ForEach-Object { "$($_.name): $($_.state.unknown)" })
    if ($topics.Count -eq 0) { 'FAIL', 'no topic was read' }
    elseif ($unread.Count + $facts.Count -eq 0) { 'PASS', "$($topics.Count) topics" }
    else { 'FAIL', (($unread + $facts) -join '; ') }
}
Test-Point '38 templates-by-wmi' {
    $system = @(Get-NetTCPSetting | Where-Object { $_.DynamicPortRangeNumberOfPorts } | ForEach-Object {
        $first = [int]$_.DynamicPortRangeStartPort
        "$first-$($first + [int]$_.DynamicPortRangeNumberOfPorts - 1)"
    } | Sort-Object)
    Compare-Said (Get-Facts 'template_dynamic_range') $system
}
Test-Point '39 global-offloads' {
    $global = Get-NetOffloadGlobalSetting
    $system = @("rss $($global.ReceiveSideScaling -eq 'Enabled')", "task $($global.TaskOffload -eq 'Enabled')")
    $agent = @((Get-Facts 'rss' | ForEach-Object { "rss $_" }), (Get-Facts 'task_offload' | ForEach-Object { "task $_" }))
    Compare-Said $agent $system
}
Test-Point '40 network-cards' {
    $system = @(Get-NetAdapter -Physical | ForEach-Object { $_.DriverVersionString } | Sort-Object)
    Compare-Said (Get-Facts 'nic_driver_version') $system
}
Test-Point '41 tcpip-version' {
    $file = (Get-Item -LiteralPath (Join-Path $env:SystemRoot 'System32\drivers\tcpip.sys')).VersionInfo
    $system = "$($file.FileMajorPart).$($file.FileMinorPart).$($file.FileBuildPart).$($file.FilePrivatePart)"
    Compare-Said (Get-Facts 'tcpip_driver_version') @($system)
}
Test-Point '42 machine-config' {
    $system = @()
    foreach ($folder in @('Framework', 'Framework64')) {
        foreach ($version in @('v2.0.50727', 'v4.0.30319')) {
            $file = Join-Path $env:SystemRoot "Microsoft.NET\$folder\$version\Config\machine.config"
            if (-not (Test-Path -LiteralPath $file)) { continue }
            $entries = ([xml](Get-Content -LiteralPath $file)).SelectNodes('/configuration/system.net/connectionManagement/add')
            foreach ($entry in $entries) { $system += $entry.GetAttribute('maxconnection') }
        }
    }
    Compare-Said (Get-Facts 'dotnet_max_connections') @($system | Sort-Object)
}

Test-Point '43 dependents-complete' {
    # The agent stops what EnumDependentServices names, in its order; sc.exe prints the same list.
    $service = 'RpcSs'
    $listed = @((Invoke-Program (Join-Path $env:SystemRoot 'System32\sc.exe') "enumdepend $service 65536").Output -split "`r?`n" |
        ForEach-Object { if ($_ -match '^\s*SERVICE_NAME:\s*(\S+)') { $Matches[1] } })
    $needs = @{}
    foreach ($key in Get-ChildItem 'HKLM:\SYSTEM\CurrentControlSet\Services' -ErrorAction SilentlyContinue) {
        $needs[$key.PSChildName] = @(Get-Value $key.PSPath 'DependOnService')
    }
    $above = @($service)
    do {
        $count = $above.Count
        foreach ($name in @($needs.Keys)) {
            if ($above -notcontains $name -and @($needs[$name] | Where-Object { $above -contains $_ }).Count -gt 0) { $above += $name }
        }
    } while ($above.Count -gt $count)
    $running = @(Get-Service | Where-Object { $_.Status -eq 'Running' } | ForEach-Object { $_.Name })
    $expected = @($above | Where-Object { $_ -ne $service -and $running -contains $_ })
    $missing = @($expected | Where-Object { $listed -notcontains $_ })
    $evidence = "$($listed.Count) listed, $($expected.Count) running by the registry, missing: $($missing -join ', ')"
    if ($listed.Count -eq 0) { 'UNKNOWN', $evidence } elseif ($missing.Count -eq 0) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '44 ranges-readable' {
    # An action that sets a range reads it back: of both protocols and both families.
    $ranges = @('ipv4', 'ipv6' | ForEach-Object { $family = $_; 'tcp', 'udp' | ForEach-Object { "$family $_ $(Get-NetshRange $family $_)" } })
    $unread = @($ranges | Where-Object { $_ -notmatch ' \d+\+\d+$' })
    if ($unread.Count -eq 0) { 'PASS', ($ranges -join '; ') } else { 'FAIL', ($ranges -join '; ') }
}
Test-Point '45 hooks-runnable' {
    $shell = Join-Path $env:SystemRoot 'System32\WindowsPowerShell\v1.0\powershell.exe'
    $policy = [string](Get-ExecutionPolicy -Scope LocalMachine)
    $forced = [string](Get-ExecutionPolicy -Scope MachinePolicy)
    $evidence = "$shell; execution policy $policy, by group policy $forced"
    if (-not (Test-Path -LiteralPath $shell)) { 'FAIL', "$shell is not there" }
    elseif ($forced -eq 'Restricted' -or $forced -eq 'AllSigned' -or $policy -eq 'Restricted' -or $policy -eq 'AllSigned') {
        'UNKNOWN', "$evidence; a .ps1 in the hooks folder would have to be signed, or be refused"
    } else { 'PASS', $evidence }
}
Test-Point '46 cluster-resources' {
    $key = 'HKLM:\Cluster\Resources'
    if (-not (Test-Path -LiteralPath $key)) { return 'UNKNOWN', 'this server belongs to no failover cluster' }
    $kinds = @(Get-ChildItem $key | ForEach-Object {
        $parameters = Join-Path $_.PSPath 'Parameters'
        "$(Get-Value $_.PSPath 'Type') [$(Get-Value $parameters 'ServiceName')$(Get-Value $parameters 'InstanceName')]"
    } | Sort-Object -Unique)
    if ($kinds.Count -gt 0) { 'PASS', ($kinds -join '; ') } else { 'FAIL', 'the cluster has no resources that can be read' }
}
Test-Point '47 own-program' {
    # The digests of all programs that are told; the agent's own is always among them.
    $file = (Get-Item -LiteralPath $Agent).VersionInfo
    $version = "$($file.FileMajorPart).$($file.FileMinorPart).$($file.FileBuildPart).$($file.FilePrivatePart)"
    $digest = (Get-FileHash -LiteralPath $Agent -Algorithm SHA256).Hash.ToLowerInvariant()
    $evidence = "version $version, SHA-256 $digest; the agent says: $((Get-Facts 'image_version') -join ', ')"
    $isTold = (Get-Facts 'image_version') -contains $version -and (Get-Facts 'image_sha256') -contains $digest
    if ($isTold) { 'PASS', $evidence } else { 'FAIL', $evidence }
}
Test-Point '48 endpoint-protection' {
    $told = @((Get-Audit).facts | Where-Object { $_.name -eq 'edr' } | ForEach-Object { $_.item })
    $evidence = "the agent says: $($told -join ', '), $((Get-Facts 'edr') -join ', ')"
    $defender = Get-Service -Name WinDefend -ErrorAction SilentlyContinue
    if ($null -ne $defender -and $told -notcontains 'Microsoft Defender Antivirus') { 'FAIL', $evidence }
    else { 'UNKNOWN', "$evidence; compare with what is installed" }
}

Write-Output ('{0} passed, {1} failed, {2} unknown' -f $script:Counts['PASS'], $script:Counts['FAIL'], $script:Counts['UNKNOWN'])
if ($script:Failed -gt 0) { exit 1 }
exit 0
