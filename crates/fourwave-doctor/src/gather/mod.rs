//! Reads a host: its sockets, who has them, the kernel's counters and knobs.
//!
//! Sockets come from sock_diag, or else from `/proc/net/tcp`. What cannot be examined is a
//! [`Limitation`] of the snapshot; an error is only that no socket can be seen at all.

mod decode;
mod diag;
mod error;
mod kernel;
mod limitations;
mod namespace;
mod process_lookup;
mod sockets;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fourwave_core::state::State;

use crate::snapshot::{Counters, Limitation, Orphans, Owner, Scope, Snapshot};
use diag::Diag;
pub use error::GatherError;
pub(crate) use fourwave_linux::reason;
use namespace::{Place, inside};
use process_lookup::Known;
use sockets::Sockets;

/// The thread's own view of its network namespace.
const NET: &str = "/proc/thread-self/net";

/// Knobs of the whole host, which other namespaces than the first do not show.
const GLOBAL: [&str; 3] = ["ipv4.tcp_max_orphans", "ipv4.tcp_mem", "core.netdev_max_backlog"];

/// Reads the sockets of one host or container, as often as it is asked to.
pub struct Gatherer {
    scope: Scope,
    place: Place,
    /// sock_diag in the namespace, or why there is none.
    diag: Result<Diag, String>,
    known: Known,
}

impl Gatherer {
    /// Finds the namespace and opens sock_diag in it.
    ///
    /// # Errors
    /// There is no such process or namespace, or it may not be entered.
    pub fn open(scope: Scope) -> Result<Self, GatherError> {
        let place = Place::find(&scope)?;
        let open = || Diag::open().map_err(|error| reason(&error));
        let diag = match &place {
            Place::Here => open(),
            Place::Inside(namespace) => enter(&scope, namespace, open)?,
            Place::Beside(..) => Err("the namespace may not be entered".into()),
        };
        Ok(Self { scope, place, diag, known: Known::default() })
    }

    /// Takes a snapshot. O(sockets + descriptors of all processes): the kernel needs some 2 µs to
    /// list a socket and 4 µs to tell what a descriptor is, which is asked every 10 s or for
    /// sockets that are new. Some 120 bytes for each socket, and 100 more for its `tcp_info`.
    ///
    /// # Errors
    /// The sockets can be seen neither by sock_diag nor in `/proc`, or the process is gone.
    pub fn snapshot(&mut self) -> Result<Snapshot, GatherError> {
        let Self { scope, place, diag, known } = self;
        let (net, knobs) = match place {
            Place::Here | Place::Inside(_) => (PathBuf::from(NET), true),
            Place::Beside(net, _) => (net.clone(), false),
        };
        let mut look = || Reading::take(diag, &net, knobs);
        let look = match place {
            Place::Inside(namespace) => enter(scope, namespace, look)?,
            Place::Here | Place::Beside(..) => look(),
        };
        let look = look.map_err(|failure| match *scope {
            Scope::Pid(pid) if !Path::new(&format!("/proc/{pid}")).exists() => {
                GatherError::Gone { pid }
            }
            _ => failure,
        })?;
        let remedy = match place {
            Place::Beside(_, remedy) => Some(remedy.as_str()),
            _ => None,
        };
        Ok(look.snapshot(scope.clone(), remedy, known, diag.as_mut().ok()))
    }
}

/// Work inside a namespace that could be entered when it was opened.
fn enter<T: Send>(
    scope: &Scope,
    namespace: &std::os::fd::OwnedFd,
    work: impl FnOnce() -> T + Send,
) -> Result<T, GatherError> {
    inside(namespace, work).map_err(|error| GatherError::System {
        what: match scope {
            Scope::Own => "the own namespace".into(),
            Scope::Pid(pid) => format!("the namespace of process {pid}"),
            Scope::Netns(name) => format!("network namespace {name}"),
        },
        reason: reason(&error),
    })
}

/// What is seen from inside the namespace.
struct Reading {
    taken: SystemTime,
    sockets: Sockets,
    /// Why not by sock_diag, if so.
    without_diag: Option<String>,
    counters: Counters,
    sockstat: String,
    knobs: Option<(BTreeMap<String, String>, usize)>,
    /// Files of `/proc/net` that could not be read.
    unread: Vec<String>,
}

impl Reading {
    fn take(diag: &mut Result<Diag, String>, net: &Path, knobs: bool) -> Result<Self, GatherError> {
        let taken = SystemTime::now();
        let by_diag = match diag {
            Ok(open) => open.sockets().map_err(|error| reason(&error)),
            Err(why) => Err(why.clone()),
        };
        let (mut sockets, without_diag) = match by_diag {
            Ok(sockets) => (sockets, None),
            Err(why) => match table::sockets(net) {
                Ok(sockets) => (sockets, Some(why)),
                Err(error) => {
                    return Err(GatherError::NoSockets { diag: why, table: reason(&error) });
                }
            },
        };
        sockets.count_half_open();
        let mut unread = Vec::new();
        let mut read = |name: &str| {
            fs::read_to_string(net.join(name)).unwrap_or_else(|error| {
                unread.push(format!("{} ({})", net.join(name).display(), reason(&error)));
                String::new()
            })
        };
        let mut counters = Counters::new();
        kernel::counters(&read("snmp"), &mut counters);
        kernel::counters(&read("netstat"), &mut counters);
        let sockstat = read("sockstat");
        let knobs = knobs.then(|| kernel::knobs(Path::new("/proc/sys/net"), &kernel::KNOBS));
        Ok(Self { taken, sockets, without_diag, counters, sockstat, knobs, unread })
    }

    /// With what is seen from outside: who has the sockets, and the host's own knobs. `remedy`:
    /// how to get in, where that is not allowed.
    fn snapshot(
        self,
        scope: Scope,
        remedy: Option<&str>,
        known: &mut Known,
        diag: Option<&mut Diag>,
    ) -> Snapshot {
        let Self { taken, sockets, without_diag, counters, sockstat, knobs, unread } = self;
        let mut snapshot = Snapshot::empty(scope);
        let mut limitations: Vec<Limitation> = Vec::new();
        limitations.extend(limitations::tables(&unread));
        limitations.extend(match (without_diag, remedy) {
            (Some(_), Some(remedy)) => Some(limitations::outside(remedy, &snapshot.ports)),
            (Some(why), None) => Some(limitations::diag(&why)),
            (None, _) => None,
        });
        limitations.extend(sockets.is_torn.then(limitations::torn));
        let (mut sysctls, refused) = knobs.unwrap_or_default();
        limitations.extend(limitations::knobs(refused));
        if !sysctls.contains_key("ipv4.tcp_max_orphans") {
            let (host, _) = kernel::knobs(Path::new("/proc/sys/net"), &GLOBAL);
            for (name, value) in host {
                sysctls.entry(name).or_insert(value);
            }
        }
        let knob = |name: &str| sysctls.get(name).map_or("", String::as_str);
        match kernel::ports(knob("ipv4.ip_local_port_range"), knob("ipv4.ip_local_reserved_ports"))
        {
            Some(ports) => snapshot.ports = ports,
            None => {
                limitations.extend(remedy.is_none().then(|| limitations::ports(&snapshot.ports)))
            }
        }
        let stat = |name| kernel::sockstat(&sockstat, "TCP", name).unwrap_or(0);
        let limit = knob("ipv4.tcp_max_orphans").parse().unwrap_or(0);
        snapshot.orphans = Orphans { now: stat("orphan"), limit };
        snapshot.time_wait = stat("tw");
        let (owners, limitation) = owners_of(&sockets, known, diag);
        limitations.extend(limitation);
        let Sockets { sockets, listeners, is_torn: _ } = sockets;
        Snapshot { taken, sockets, listeners, owners, sysctls, counters, limitations, ..snapshot }
    }
}

/// So many sockets without a program are sought once more; more of them are another user's.
const FEW: usize = 64;

/// Who has those sockets that a finding may be about. What was closed meanwhile is nobody's, and
/// no limitation.
fn owners_of(
    all: &Sockets,
    known: &mut Known,
    diag: Option<&mut Diag>,
) -> (HashMap<u64, Vec<Owner>>, Option<Limitation>) {
    let is_of_interest = |state, unread| state == State::CloseWait || unread > 0;
    let sockets = all.sockets.iter().filter(|s| is_of_interest(s.state, s.unread));
    let inodes = sockets.map(|s| s.inode).chain(all.listeners.iter().map(|l| l.inode));
    let wanted: HashSet<u64> = inodes.filter(|&inode| inode != 0).collect();
    let number = wanted.len();
    match known.owners("/proc", wanted.clone()) {
        Ok(found) => {
            let mut missing = wanted;
            missing.retain(|inode| !found.of.contains_key(inode));
            if let Some(diag) = diag.filter(|_| (1..=FEW).contains(&missing.len())) {
                let listens = |inode| all.listeners.iter().any(|one| one.inode == inode);
                let listeners_only = missing.iter().all(|&inode| listens(inode));
                // Where that cannot be asked, none is known to be closed.
                if let Ok(open) = diag.inodes(listeners_only) {
                    missing.retain(|inode| open.contains(inode));
                }
            }
            let without = missing.len();
            let is_root = rustix::process::geteuid().is_root();
            (found.of, limitations::owners(without, found.hidden, is_root))
        }
        Err(error) => (HashMap::new(), limitations::processes(number, &reason(&error))),
    }
}
