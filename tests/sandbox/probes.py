"""What an agent could try in order to get out: programs in Python, each of which says REACHED where it succeeds.

Every probe succeeds outside the jail (test_probes.py runs it there first, or it would prove nothing) and must not
succeed inside. `WORLD` is what they know of the host: addresses and ports of its listeners, processes, files.

`outside`: what the probe needs to succeed there: "" nothing, "root", or "namespace": unshare(1) -Urnmu, in which an
unprivileged user has the capabilities that it wants to use. `plain_build`: not under a sanitizer, whose leak checker
wants processes that can be looked into.
"""

from typing import NamedTuple


class Probe(NamedTuple):
    name: str
    code: str
    outside: str = ""
    plain_build: bool = False


PRELUDE = """\
import atexit, ctypes, errno, fcntl, mmap, os, signal, socket, struct, subprocess, sys, tempfile, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
NULL = ctypes.c_void_p(None)

def call(number, *arguments):
    "syscall(2), as libc knows it; numbers are those of x86-64."
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def reached(*what):
    print("REACHED", *what)
    sys.stdout.flush()

def connect(family, address, data=b"probe"):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(address)
        s.sendall(data)
        if s.recv(100) == b"host\\n":
            reached("the listener answered")

def child(seconds=30):
    "A process of the same user, not a relative that may trace by right."
    p = subprocess.Popen(["sleep", str(seconds)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(os.kill, p.pid, signal.SIGKILL)  # p.kill() takes one that is traced for one that has ended
    time.sleep(0.1)  # until it has become sleep
    return p

def readable(path):
    with open(path, "rb") as f:
        if text := f.read(20):  # hidden files are empty
            reached(text)

def writable(path):
    "Opens only: nothing is changed."
    os.close(os.open(path, os.O_WRONLY))
    reached(path)
"""

# --- the network -----------------------------------------------------------------------------------------------------

NETWORK = [
    Probe("TCP to a listener on the host's loopback", "connect(socket.AF_INET, ('127.0.0.1', WORLD['tcp4']))"),
    Probe("TCP to a listener on the host's loopback over IPv6", "connect(socket.AF_INET6, ('::1', WORLD['tcp6']))"),
    Probe("TCP to the loopback by another of its addresses", "connect(socket.AF_INET, ('127.7.7.7', WORLD['tcp_any']))"),
    Probe("TCP to the host by the unspecified address", "connect(socket.AF_INET, ('0.0.0.0', WORLD['tcp_any']))"),
    Probe("TCP to an IPv4 address mapped into IPv6", "connect(socket.AF_INET6, ('::ffff:127.0.0.1', WORLD['tcp4']))"),
    Probe("TCP to the host's own address", "connect(socket.AF_INET, (WORLD['address'], WORLD['tcp_any']))"),
    Probe("TCP with data in the SYN (fast open)", """
with socket.socket() as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 5, 0))
    s.sendto(b'probe', 0x20000000, ('127.0.0.1', WORLD['tcp4']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("multipath TCP", """
with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as s:
    s.settimeout(5)
    s.connect(('127.0.0.1', WORLD['tcp4']))
    s.sendall(b'probe')
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("UDP to a listener on the host's loopback", """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.sendto(b'probe', ('127.0.0.1', WORLD['udp4']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("UDP to a listener on the host's loopback over IPv6", """
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.sendto(b'probe', ('::1', WORLD['udp6']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("UDP to the host's own address", """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.sendto(b'probe', (WORLD['address'], WORLD['udp_any']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("UDP to all of the host's loopback (broadcast)", """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.settimeout(3)
    s.sendto(b'probe', ('127.255.255.255', WORLD['udp_any']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("UDP to the host by an address that it bound itself", """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind(('127.3.3.3', 0))
    s.settimeout(3)
    s.sendto(b'probe', ('127.0.0.1', WORLD['udp_any']))
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("TCP with urgent data", """
with socket.socket() as s:
    s.settimeout(5)
    s.connect(('127.0.0.1', WORLD['tcp4']))
    s.send(b'probe!', socket.MSG_OOB)
    if s.recv(100) == b'host\\n': reached()
"""),
    Probe("packets for other machines (a transparent socket)", "socket.socket().setsockopt(0, 19, 1); reached()", "namespace"),
    Probe("packets with a mark for other rules", "socket.socket().setsockopt(1, 36, 7); reached()", "namespace"),
    Probe("packets by a way of its own (source routing)",
          "socket.socket().setsockopt(0, 4, b'\\x83\\x07\\x04\\x7f\\x00\\x00\\x01\\x00'); reached()", "namespace"),
    Probe("rules for packets by their old interface", """
with socket.socket(socket.AF_INET, socket.SOCK_RAW, 255) as s:
    s.getsockopt(0, 64, 84)
    reached()
""", "namespace"),
    Probe("an XDP socket", "socket.socket(44, socket.SOCK_RAW, 0); reached()", "namespace"),
    Probe("a socket of virtual machines", "socket.socket(40, socket.SOCK_STREAM, 0); reached()"),
    Probe("an abstract socket of the host", "connect(socket.AF_UNIX, '\\0' + WORLD['abstract'])"),
    Probe("a socket of the host in /tmp", "connect(socket.AF_UNIX, WORLD['socket_tmp'])"),
    Probe("a socket of the host in the project", "connect(socket.AF_UNIX, WORLD['socket_project'])"),
    Probe("a socket of the host in the home directory", "connect(socket.AF_UNIX, WORLD['socket_home'])"),
    Probe("a socket in /run, such as Docker's", "connect(socket.AF_UNIX, WORLD['socket_run'])", "root"),
    Probe("the socket that SSH_AUTH_SOCK names", "connect(socket.AF_UNIX, os.environ['SSH_AUTH_SOCK'])"),
    Probe("the session bus", "connect(socket.AF_UNIX, os.environ['DBUS_SESSION_BUS_ADDRESS'].partition('=')[2])"),
    Probe("a raw socket", "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); reached()", "namespace"),
    Probe("a raw socket that writes its own IP header",
          "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW); reached()", "namespace"),
    Probe("a raw IPv6 socket", "socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58); reached()", "namespace"),
    Probe("a packet socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300); reached()", "namespace"),
    Probe("the kernel's cryptography", "socket.socket(38, socket.SOCK_SEQPACKET, 0); reached()"),
    Probe("a netlink socket of netfilter", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12); reached()"),
    Probe("a netlink socket of sock_diag", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4); reached()"),
    Probe("a netlink socket of audit", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9); reached()"),
    Probe("a netlink socket of uevents", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); reached()"),
    Probe("a new network interface", """
for kind in ('dummy', 'veth', 'bridge', 'ifb'):
    if subprocess.run(['ip', 'link', 'add', 'probe0', 'type', kind], capture_output=True).returncode == 0: reached(kind)
if subprocess.run(['ip', 'tuntap', 'add', 'probe1', 'mode', 'tun'], capture_output=True).returncode == 0: reached('tun')
""", "namespace"),
    Probe("another route", """
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], capture_output=True)
done = subprocess.run(['ip', 'route', 'add', 'blackhole', '192.0.2.0/24'], capture_output=True)
if done.returncode == 0: reached()
""", "namespace"),
    Probe("other rules for packets", """
done = subprocess.run(['nft', 'flush', 'ruleset'], capture_output=True)
if done.returncode == 0: reached()
""", "namespace"),
    Probe("the network namespace of the host's processes", """
host = os.stat('/proc/%d/ns/net' % WORLD['pid'])
fd = os.open('/proc/%d/ns/net' % WORLD['pid'], os.O_RDONLY)
reached()
"""),
]

# --- other processes -------------------------------------------------------------------------------------------------

PROCESSES = [
    Probe("a signal to a process of the host", "os.kill(WORLD['pid'], 0); reached()"),
    Probe("the arguments of a process of the host", """
if b'of-the-' b'host' in open('/proc/%d/cmdline' % WORLD['pid'], 'rb').read(): reached()
"""),
    Probe("a list of the host's processes", """
for name in os.listdir('/proc'):
    if name.isdigit() and b'of-the-' b'host' in open('/proc/%s/cmdline' % name, 'rb').read(): reached()
"""),
    Probe("a descriptor of a process of the host", "call(434, WORLD['pid'], 0); reached()"),
    Probe("tracing a process", """
p = child()
call(101, 16, p.pid, 0, 0)
reached()
"""),
    Probe("tracing a child of its own", """
pid = os.fork()
if pid == 0:
    if libc.ptrace(0, 0, NULL, NULL) != 0: os._exit(1)
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
if os.WIFSTOPPED(os.waitpid(pid, 0)[1]) and call(101, 7, pid, 0, 0) == 0: reached()
"""),
    Probe("the memory of another process", """
p = child()
local = ctypes.create_string_buffer(8)
start = int(open('/proc/%d/maps' % p.pid).read().split('-')[0], 16)
class iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
call(310, p.pid, ctypes.byref(iovec(ctypes.addressof(local), 8)), 1, ctypes.byref(iovec(start, 8)), 1, 0)
reached(local.raw)
"""),
    Probe("writing into another process", """
p = child()
local = ctypes.create_string_buffer(8)
area = next(l for l in open('/proc/%d/maps' % p.pid) if ' rw-p' in l)
start = int(area.split('-')[0], 16)
class iovec(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]
call(311, p.pid, ctypes.byref(iovec(ctypes.addressof(local), 8)), 1, ctypes.byref(iovec(start, 8)), 1, 0)
reached()
"""),
    Probe("the first process's memory as a file", """
target = 1 if os.getpid() < 10000 and open('/proc/1/comm').read().strip() != 'systemd' and WORLD['inside'] else child().pid
open('/proc/%d/mem' % target, 'r+b').close()
reached()
""", plain_build=True),
    Probe("the first process's environment", """
target = 1 if WORLD['inside'] else child().pid
if open('/proc/%d/environ' % target, 'rb').read(): reached()
""", plain_build=True),
    Probe("the first process's descriptors", """
target = 1 if WORLD['inside'] else child().pid
if os.listdir('/proc/%d/fd' % target): reached()
""", plain_build=True),
    Probe("another's descriptor through a pidfd", """
p = child()
fd = os.pidfd_open(p.pid)
call(438, fd, 1, 0)
reached()
"""),
    Probe("comparing kernel objects", "p = child(); call(312, os.getpid(), p.pid, 1, 0, 0); reached()"),
    Probe("a descriptor that was left open outside", """
for fd in os.listdir('/proc/self/fd'):
    try:
        if os.pread(int(fd), 100, 0) == b'left open\\n': reached(fd)
    except OSError:
        pass
"""),
    Probe("a way above the working directory", """
names = set(os.listdir('/proc/self/cwd/..'))
if WORLD['neighbour'] in names: reached()
"""),
    Probe("the root of a process of the host", "if os.listdir('/proc/%d/root' % WORLD['pid']): reached()"),
]

# --- the kernel's surface --------------------------------------------------------------------------------------------

NAMESPACES = {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000,
              "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}
KERNEL = [
    *[Probe(f"a new {name} namespace by unshare", f"call(272, {flag:#x}); reached()", "" if name == "user" else "namespace")
      for name, flag in NAMESPACES.items()],
    Probe("a new user namespace by clone", """
pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
os.waitpid(pid, 0)
reached()
"""),
    Probe("a new user namespace by clone3", """
arguments = struct.pack('QQQQQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
buffer = ctypes.create_string_buffer(arguments)
pid = call(435, buffer, len(arguments))
if pid == 0: os._exit(0)
os.waitpid(pid, 0)
reached()
"""),
    Probe("entering a namespace", "call(308, os.open('/proc/self/ns/uts', os.O_RDONLY), 0); reached()", "namespace"),
    Probe("a mount", "os.mkdir('m') if not os.path.isdir('m') else None\ncall(165, b'none', b'm', b'tmpfs', 0, 0); reached()",
          "namespace"),
    Probe("a mount by the new interface", "call(430, b'tmpfs', 0); reached()", "namespace"),
    Probe("a copy of a mount", "call(428, -100, b'/', 0x8001); reached()", "namespace"),
    Probe("taking a mount away", """
os.makedirs('u', exist_ok=True)
call(165, b'none', b'u', b'tmpfs', 0, 0)
call(166, b'u', 2)
reached()
""", "namespace"),
    Probe("a mount without its flags", "call(165, b'none', b'/proc', NULL, 32 | 4096, NULL); reached()", "namespace"),
    Probe("another attribute of a mount", """
attributes = ctypes.create_string_buffer(struct.pack('QQQQ', 1, 0, 0, 0))
call(442, -100, b'/proc', 0, attributes, 32)
reached()
""", "namespace"),
    Probe("another root", "os.chroot('.'); reached()", "namespace"),
    Probe("loading a program into the kernel", """
attributes = ctypes.create_string_buffer(128)
struct.pack_into('IIII', attributes, 0, 2, 4, 4, 1)
call(321, 0, attributes, 128)
reached()
""", "root"),
    Probe("performance counters", """
attributes = ctypes.create_string_buffer(128)
struct.pack_into('IIQ', attributes, 0, 1, 128, 9)
call(298, attributes, 0, -1, -1, 0)
reached()
""", "root"),
    Probe("faults handled by a process", "call(323, 1); reached()"),
    Probe("io_uring", "call(425, 4, ctypes.create_string_buffer(120)); reached()"),
    Probe("a key of the kernel", "call(248, b'user', b'exeat-probe', b'x', 1, -2); reached()"),
    Probe("the session's keys", "call(250, 0, -3, 1); reached()"),
    Probe("the kernel's log", "call(103, 10, 0, 0); reached()", "root"),
    Probe("a file by its handle", """
handle = ctypes.create_string_buffer(136)
struct.pack_into('I', handle, 0, 128)
where = ctypes.c_int()
call(303, -100, b'/', handle, ctypes.byref(where), 0)
fd = os.open('/', os.O_RDONLY)
call(304, fd, handle, os.O_RDONLY)
reached()
""", "root"),
    Probe("watching a whole file system", "call(300, 0, 0); reached()", "root"),
    Probe("ports of the machine", "call(172, 3); reached()", "root"),
    Probe("another host name", "call(170, b'probe', 5); reached()", "namespace"),
    Probe("the clock", "call(227, 0, ctypes.byref((ctypes.c_long * 2)(*map(int, divmod(time.time_ns(), 10**9))))); reached()",
          "root"),
    Probe("a device node", "os.mknod('device', 0o020600, os.makedev(1, 3)); os.unlink('device'); reached()", "root"),
    Probe("calls of the x32 ABI", """
if libc.syscall(ctypes.c_long(0x40000000 | 39)) > 0: reached()
else: print(os.strerror(ctypes.get_errno()))
"""),
    Probe("calls of 32-bit programs", """
# mov eax, 20 (getpid); int 0x80; ret
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex('b814000000cd80c3'))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0: reached()
"""),
    Probe("a keystroke for the terminal", """
master, slave = os.openpty()
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, 0x540E, 0)
    fcntl.ioctl(slave, 0x5412, b'x')
    reached()
    os._exit(0)
os.waitpid(pid, 0)
""", "root"),
    Probe("a setuid file by chmod", """
open('setuid', 'w').close()
os.chmod('setuid', 0o4755)
if os.stat('setuid').st_mode & 0o4000: reached()
"""),
    Probe("a setuid file by open", """
os.umask(0)
os.close(os.open('setuid2', os.O_CREAT | os.O_WRONLY, 0o4755))
if os.stat('setuid2').st_mode & 0o4000: reached()
"""),
    Probe("a setgid file by fchmodat2", """
open('setgid', 'w').close()
call(452, -100, b'setgid', 0o2755, 0)
if os.stat('setgid').st_mode & 0o2000: reached()
"""),
    Probe("new privileges by a setuid program", """
if libc.prctl(39, 0, 0, 0, 0) == 0: reached()
"""),
    Probe("the file that is started when something crashes", "writable('/proc/sys/kernel/core_pattern')", "root"),
    Probe("the kernel's settings", "writable('/proc/sys/net/ipv4/ip_forward')", "root"),
    Probe("a sysctl of its own network", "writable('/proc/sys/net/ipv4/ip_unprivileged_port_start')", "root"),
    Probe("the magic keys", "writable('/proc/sysrq-trigger')", "root"),
    Probe("the kernel's memory", "os.close(os.open('/proc/kcore', os.O_RDONLY)); reached()", "root"),
    Probe("the kernel's symbols", """
if any(not line.startswith('0000000000000000') for line in open('/proc/kallsyms')): reached()
""", "root"),
    Probe("the device tree of the kernel", "if os.listdir('/sys/kernel'): reached()"),
    Probe("the machine's memory", "os.close(os.open('/dev/kmsg', os.O_RDONLY)); reached()", "root"),
    Probe("control groups", "if os.listdir('/sys/fs/cgroup'): reached()"),
    Probe("as many processes as it likes", """
import resource
if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0: reached('core files')
"""),
]

# --- files -----------------------------------------------------------------------------------------------------------

FILES = [
    Probe("a key in ~/.ssh", "readable(os.path.expanduser('~/.ssh/id_probe'))"),
    Probe("a token in ~/.netrc", "readable(os.path.expanduser('~/.netrc'))"),
    Probe("credentials of a cloud", "readable(os.path.expanduser('~/.aws/credentials'))"),
    Probe("a file of the host in /tmp", "readable(WORLD['file_tmp'])"),
    Probe("a file beside the project", "readable(WORLD['file_beside'])"),
    Probe("a file beside the project, through a link in it", "readable('link-out')"),
    Probe("a file beside the project, through dots", "readable('../' + os.path.basename(WORLD['file_beside']))"),
    Probe("a secret of the project: .env", "readable('.env')"),
    Probe("a secret of the project: .env.production", "readable('.env.production')"),
    Probe("a secret of the project: .npmrc", "readable('.npmrc')"),
    Probe("a secret of the project: .netrc in a folder", "readable('sub/.netrc')"),
    Probe("a secret of the project, by another link to it", "os.link('.env', 'linked'); atexit.register(os.unlink, 'linked'); readable('linked')"),
    Probe("a secret of the project, by another name", """
os.rename('sub/.netrc', 'sub/renamed')
atexit.register(os.rename, 'sub/renamed', 'sub/.netrc')
readable('sub/renamed')
"""),
    Probe("a secret of the project, through a descriptor of its folder", """
folder = os.open('sub', os.O_PATH)
readable('/proc/self/fd/%d/.netrc' % folder)
"""),
    Probe("a file beside the project, through the root of the first process", """
readable('/proc/%d/root%s' % (1 if WORLD['inside'] else os.getpid(), WORLD['file_beside']))
"""),
    Probe("a file beside the project, by a link to it", """
os.link(WORLD['file_beside'], 'beside')
atexit.register(os.unlink, 'beside')
readable('beside')
"""),
    Probe("the host's programs, opened again through a descriptor", """
fd = os.open('/usr/bin/env', os.O_RDONLY)
writable('/proc/self/fd/%d' % fd)
""", "root"),
    Probe("a setuid file that had no name", """
fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o4755)
call(265, -100, b'/proc/self/fd/%d' % fd, -100, b'setuid-4', 0x400)
if os.stat('setuid-4').st_mode & 0o4000: reached()
"""),
    Probe("a setuid file by mknod", """
os.mknod('setuid-5', 0o104755)
if os.stat('setuid-5').st_mode & 0o4000: reached()
"""),
    Probe("capabilities of a file", """
open('capable', 'w').close()
os.setxattr('capable', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
reached()
""", "root"),
    Probe("passwords of the host", "readable('/etc/shadow')", "root"),
    Probe("the host's programs", "writable('/usr/bin/env')", "root"),
    Probe("the host's settings", "writable('/etc/passwd')", "root"),
    Probe("a new program in /usr/local/bin", """
os.close(os.open('/usr/local/bin/exeat-probe', os.O_CREAT | os.O_WRONLY, 0o755))
os.unlink('/usr/local/bin/exeat-probe')
reached()
""", "root"),
    Probe("a start-up file of the shell", """
path = os.path.expanduser('~/.bashrc')
before = open(path).read()
open(path, 'a').write('# probe\\n')
reached()
""" + "open(path, 'w').write(before)"),
    Probe("the log and the state of exeat", "if os.listdir(WORLD['state']): reached()"),
    Probe("exeat's sockets", """
for place in ('/run/exeat', WORLD['state']):
    for folder, _, names in os.walk(place):
        if any(n.endswith('.sock') for n in names): reached(folder)
if not WORLD['inside']: reached('outside there may be none')
"""),
    Probe("the machine's id", "if open('/etc/machine-id').read().strip() == WORLD['machine_id']: reached()"),
    Probe("the name of the machine", "if socket.gethostname() == WORLD['hostname']: reached()"),
    Probe("the host's name servers", "if open('/etc/resolv.conf').read() == WORLD['resolv_conf']: reached()"),
    Probe("a token in the environment", "if os.environ.get('GITHUB_TOKEN') == 'of-the-host': reached()"),
    Probe("a secret key in the environment", "if os.environ.get('AWS_SECRET_ACCESS_KEY') == 'of-the-host': reached()"),
    Probe("a password in the environment", "if os.environ.get('DB_PASSWORD') == 'of-the-host': reached()"),
]

PROBES = [*NETWORK, *PROCESSES, *KERNEL, *FILES]
