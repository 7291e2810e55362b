//! A host of its own for each test: a network namespace with a mount namespace, in which the
//! servers, the callers and `fourwave run` live. Works as root and as anyone who may make user
//! namespaces; nothing of the real host's network is seen or changed.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use fourwave_testkit::find;
use fourwave_testkit::{Limited, has, not_here, path, rest, skip, this_test};

use crate::process::{Server, kill};

/// The destination, and another address of the host, IPv4 and IPv6.
pub(crate) const HOST4: &str = "10.9.0.2";
pub(crate) const HOST6: &str = "fd99::2";
pub(crate) const OTHER4: &str = "10.9.0.3";
pub(crate) const OTHER6: &str = "fd99::3";
/// Packets to it are lost in silence.
pub(crate) const SILENT: &str = "10.9.0.77";
/// The host's routes say that they are unreachable; to the other two there is no route.
pub(crate) const UNREACHABLE4: &str = "10.9.0.66";
pub(crate) const UNREACHABLE6: &str = "fd99::66";
pub(crate) const ROUTELESS4: &str = "10.8.0.1";
pub(crate) const ROUTELESS6: &str = "fd98::1";

/// Marks what a test started, its children's children included.
const MARK: &str = "FOURWAVE_E2E_WORLD";
/// Marks what may live on when a run is over.
const SERVER: &str = "FOURWAVE_E2E_SERVER";
const NOBODY: u32 = 65534;

const SET_UP: &str = r#"
set -e
ip link set lo up
for address in $ADDRESSES4; do ip address add $address/32 dev lo; done
ip route add $SILENT/32 dev lo
ip route add unreachable $UNREACHABLE4/32
ipv6=yes
for address in $ADDRESSES6; do
    ip address add $address/128 dev lo nodad 2>/dev/null || ipv6=no
done
[ $ipv6 = no ] || ip -6 route add unreachable $UNREACHABLE6/128
if [ $ROOT = yes ]; then
    range="0 2147483647"
    # Where only root may open the machine's own node, nobody gets one here.
    if [ $NOBODY = yes ] && [ "$(stat -c %a /dev/net/tun)" != 666 ]; then
        mount -t tmpfs -o mode=755 devices /dev/net
        mknod -m 666 /dev/net/tun c 10 200
    fi
    # Reached by nobody too, wherever it was built.
    touch $DIRECTORY/fourwave
    mount --bind "$FOURWAVE" $DIRECTORY/fourwave
else
    range="0 0"
fi
echo "$range" 2>/dev/null >/proc/sys/net/ipv4/ping_group_range && ping=yes || ping=no
# The resolver of this host is the tests' own.
mount --bind $DIRECTORY/resolv.conf "$(readlink -f /etc/resolv.conf)" 2>/dev/null \
    && names=yes || names=no
echo "ready ipv6=$ipv6 ping=$ping names=$names"
exec cat
"#;

/// Who runs `fourwave run` and its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Own,
    /// A user without any right, whom only root can become.
    Nobody,
}

/// A host. Dropped, everything that was started in it ends.
pub(crate) struct World {
    pub(crate) user: User,
    holder: Child,
    directory: PathBuf,
    mark: String,
    servers: RefCell<Vec<u32>>,
    /// Whether the host has IPv6, allows ping sockets, has the tests' own resolver.
    pub(crate) ipv6: bool,
    pub(crate) ping: bool,
    pub(crate) names: bool,
}

/// Runs a scenario as the tests' user and, where that is root, as nobody too. What is not there
/// is said in one line, and the scenario is skipped.
pub(crate) fn each_user(needs: &[&str], scenario: impl Fn(&World)) {
    let basic = ["unshare", "nsenter", "ip", "python3", "sh", "cat"];
    if !has(&basic) || !has(needs) {
        return;
    }
    let users: &[User] = if started_by_root() { &[User::Own, User::Nobody] } else { &[User::Own] };
    for &user in users {
        match World::new(user) {
            Ok(world) => scenario(&world),
            Err(why) if user == User::Nobody => {
                not_here(&this_test(), format!("as nobody: {why}"));
            }
            Err(why) => skipped(&why),
        }
    }
}

/// Says why a test does nothing.
pub(crate) fn skipped(why: &str) {
    skip(why);
}

fn started_by_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl World {
    fn new(user: User) -> Result<Self, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let tun = fs::metadata("/dev/net/tun").map_err(|e| format!("/dev/net/tun: {e}"))?;
        let everyones = tun.mode() & 0o666 == 0o666;
        if !started_by_root() && !everyones {
            return Err("/dev/net/tun is missing the right to write for everyone".to_owned());
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(format!("fourwave-real-{mark}"));
        fs::create_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        fs::write(directory.join("resolv.conf"), format!("nameserver {HOST4}\n")).unwrap();
        for (name, text) in crate::SCRIPTS {
            fs::write(directory.join(name), text).unwrap();
        }
        let given = match user {
            User::Own => Ok(()),
            User::Nobody => std::os::unix::fs::chown(&directory, Some(NOBODY), Some(NOBODY)),
        };
        let held = given
            .map_err(|error| format!("the user nobody is missing: {error}"))
            .and_then(|()| hold(user, &directory, &mark));
        let (holder, facts) = held.inspect_err(|_| fs::remove_dir_all(&directory).unwrap())?;
        let has = |fact: &str| facts.contains(&format!("{fact}=yes"));
        Ok(Self {
            user,
            holder,
            mark,
            servers: RefCell::default(),
            ipv6: has("ipv6"),
            ping: has("ping"),
            names: has("names"),
            directory,
        })
    }

    /// A file or directory of this world's own.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// A directory that the scenario's user may write.
    pub(crate) fn make_directory(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        if self.user == User::Nobody {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        path
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--mount"]);
        if !started_by_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        environment(&mut command, &self.directory, &self.mark);
        command.arg("--");
        command
    }

    /// A command outside of all this, to start others from.
    pub(crate) fn outside(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        environment(&mut command, &self.directory, &self.mark);
        command
    }

    /// A command on the host, as its root.
    pub(crate) fn host(&self, program: &str) -> Command {
        let mut command = self.enter();
        command.arg(program);
        command
    }

    /// A command on the host, as the scenario's user, who has no rights unless the user is root.
    pub(crate) fn user(&self, program: &str) -> Command {
        let mut command = self.enter();
        let ids = match self.user {
            User::Own if started_by_root() => None,
            User::Own => {
                let me = fs::metadata("/proc/self").unwrap();
                Some((["unshare", "--user"], ["--map-user", "--map-group"], me.uid(), me.gid()))
            }
            User::Nobody => {
                let become_ = ["setpriv", "--clear-groups"];
                Some((become_, ["--reuid", "--regid"], NOBODY, NOBODY))
            }
        };
        if let Some((change, [user, group], uid, gid)) = ids {
            command.args(change);
            command.args([&format!("{user}={uid}"), &format!("{group}={gid}"), "--"]);
        }
        command.arg(program);
        command
    }

    /// `fourwave run` with these options and this program.
    pub(crate) fn fourwave(&self, options: &[&str], program: &[&str]) -> Command {
        let mut command = self.binary();
        command.arg("run").args(options).arg("--").args(program);
        command
    }

    /// `fourwave trace`.
    pub(crate) fn trace(&self, arguments: &[&str]) -> Command {
        let mut command = self.binary();
        command.arg("trace").args(arguments);
        command
    }

    fn binary(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_fourwave");
        let binary = if started_by_root() { self.path("fourwave") } else { binary.to_owned() };
        self.user(&binary)
    }

    /// Whether the scenario's user is root.
    pub(crate) fn is_root(&self) -> bool {
        started_by_root() && self.user == User::Own
    }

    /// Starts a server, whose first line says that it listens.
    pub(crate) fn serve(&self, mut command: Command) -> Server {
        let server = self.spawn(command.env(SERVER, "1"));
        assert_eq!(server.line(), "ready");
        server
    }

    /// Starts a script of the tests as a server on the host.
    pub(crate) fn script(&self, name: &str, arguments: &[&str]) -> Server {
        let mut command = self.host("python3");
        command.arg(self.path(name)).args(arguments);
        self.serve(command)
    }

    /// Starts a server that does not say when it listens on this TCP port of the host.
    pub(crate) fn serve_on(&self, port: u16, mut command: Command) -> Server {
        let server = self.spawn(command.env(SERVER, "1"));
        self.wait_until_listening(port);
        server
    }

    /// Starts something that lives while the test does other things.
    pub(crate) fn spawn(&self, command: &mut Command) -> Server {
        let server = Server::spawn(command);
        self.servers.borrow_mut().push(server.id());
        server
    }

    pub(crate) fn wait_until_listening(&self, port: u16) {
        let listens = || {
            ["tcp", "tcp6"].iter().any(|table| {
                let path = format!("/proc/{}/net/{table}", self.holder.id());
                let text = fs::read_to_string(path).unwrap_or_default();
                text.lines().any(|line| {
                    let mut fields = line.split_whitespace();
                    let local = fields.nth(1).unwrap_or_default();
                    local.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("0A")
                })
            })
        };
        crate::process::wait_for(&format!("a listener on port {port}"), listens);
    }

    /// What a run left behind: marked processes that are no servers of the test's.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let is_server = |pid: u32| {
            let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            text.split(|&b| b == 0).any(|item| item == format!("{SERVER}=1").as_bytes())
        };
        let own = |pid: &u32| *pid == self.holder.id() || is_server(*pid);
        let left = self.marked().into_iter().filter(|pid| !own(pid));
        left.map(|pid| format!("{pid} {}", name(pid).trim())).collect()
    }

    /// The mounts of the host, as its processes see them.
    pub(crate) fn mounts(&self) -> String {
        fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id())).unwrap()
    }

    fn marked(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark);
        let is_marked = |pid: &u32| {
            let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            text.split(|&b| b == 0).any(|item| item == mark.as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_marked).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let text = format!("(as {:?}, root: {})\n", self.user, started_by_root());
            let _shown = std::io::stderr().write_all(text.as_bytes());
        }
        for &pid in self.servers.borrow().iter() {
            kill(pid);
        }
        for pid in self.marked() {
            kill(pid);
        }
        kill(self.holder.id());
        let _ended = self.holder.wait();
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// Makes the namespaces, which live as long as the process does.
fn hold(user: User, directory: &Path, mark: &str) -> Result<(Child, String), String> {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !started_by_root() {
        command.args(["--user", "--map-root-user"]);
    }
    environment(&mut command, directory, mark);
    command
        .args(["--", "sh", "-c", SET_UP])
        .env("DIRECTORY", directory)
        .env("FOURWAVE", env!("CARGO_BIN_EXE_fourwave"))
        .env("ROOT", if started_by_root() { "yes" } else { "no" })
        .env("NOBODY", if user == User::Nobody { "yes" } else { "no" })
        .env("ADDRESSES4", [HOST4, OTHER4].join(" "))
        .env("ADDRESSES6", [HOST6, OTHER6].join(" "))
        .env("SILENT", SILENT)
        .env("UNREACHABLE4", UNREACHABLE4)
        .env("UNREACHABLE6", UNREACHABLE6)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut holder = command.spawn().map_err(|e| format!("unshare: {e}"))?;
    let mut facts = String::new();
    BufReader::new(Limited(holder.stdout.take().unwrap())).read_line(&mut facts).unwrap();
    if facts.starts_with("ready") {
        return Ok((holder, facts));
    }
    let output = rest(holder);
    Err(format!("a network namespace: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn environment(command: &mut Command, directory: &Path, mark: &str) {
    command.env(MARK, mark).env("PATH", path()).env("LC_ALL", "C").env("HOME", directory);
    // What a developer's shell may have.
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "GIT_DIR", "PYTHONHOME"] {
        command.env_remove(name);
    }
}
