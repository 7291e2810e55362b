//! What is left without sock_diag, and without `/proc` too.

use std::net::TcpListener;
use std::path::PathBuf;

use super::*;

fn without_diag(scope: Scope, place: Place) -> Gatherer {
    let diag = Err("Protocol not supported".into());
    Gatherer { scope, place, diag, known: Known::default() }
}

#[test]
fn without_sock_diag_the_tables_are_read_and_what_they_lack_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let snapshot = without_diag(Scope::Own, Place::Here).snapshot().unwrap();
    let local = listener.local_addr().unwrap();
    let found = snapshot.listeners.iter().find(|l| l.local == local).expect("it listens");
    assert_eq!(found.backlog, 0);
    assert_eq!(snapshot.owners[&found.inode][0].pid, std::process::id());
    let what = &snapshot.limitations[0].what;
    assert!(what.contains("sock_diag is not available (Protocol not supported)"), "{what}");
    assert!(snapshot.knob("ipv4.tcp_fin_timeout").is_some());
}

#[test]
fn without_both_there_is_one_line() {
    let nowhere = || Place::Beside(PathBuf::from("/nowhere"), String::new());
    let error = without_diag(Scope::Own, nowhere()).snapshot().unwrap_err().to_string();
    assert_eq!(
        error,
        "the sockets cannot be seen here: sock_diag: Protocol not supported; \
         /proc/net/tcp: No such file or directory; run it outside the sandbox, or mount /proc"
    );
    let pid = u32::MAX;
    let error = without_diag(Scope::Pid(pid), nowhere()).snapshot().unwrap_err();
    assert!(matches!(error, GatherError::Gone { pid: gone } if gone == pid), "{error}");
}

#[test]
fn a_socket_closed_before_its_program_was_sought_is_no_lack() {
    let mut diag = Diag::open().unwrap();
    let [stays, goes] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let ours = [&stays, &goes].map(|listener| listener.local_addr().unwrap());
    let mut all = diag.sockets().unwrap();
    all.sockets.clear();
    all.listeners.retain(|one| ours.contains(&one.local));
    assert_eq!(all.listeners.len(), 2);
    drop(goes);
    let (owners, limitation) = owners_of(&all, &mut Known::default(), Some(&mut diag));
    assert_eq!((owners.len(), limitation), (1, None));
    // Where that cannot be asked it is one.
    let (_, limitation) = owners_of(&all, &mut Known::default(), None);
    assert_eq!(limitation.expect("a limitation").what, "the programs of 1 socket");
}
