//! Every way in which a connection can end: the program sees what it sees without us, its peer
//! too, and the ladder, the events and the capture say why.

use std::process::Stdio;

use fourwave_testkit::{not_here, this_test};
use serde_json::json;

use crate::lens::watched;
use crate::process::finish;
use crate::world::{
    HOST4, HOST6, ROUTELESS4, ROUTELESS6, SILENT, UNREACHABLE4, UNREACHABLE6, World, each_user,
};

const PORT: &str = "61234";

/// One connection of the program (`call`, steps of peer.py) to a server on the host.
struct End<'a> {
    to: &'a str,
    call: &'a str,
    /// The server's steps; none for no server.
    serve: Option<&'a str>,
    /// What the program must say, so that a wrong expectation of ours shows.
    says: &'a str,
    /// Of the lens: how it ended, who closed first and by what.
    how: &'a str,
    closed_first: Option<(&'a str, &'a str)>,
    /// Of the ladder.
    told: &'a [&'a str],
    /// Of the line at the end.
    summary: &'a str,
}

/// Whatever differs in the case.
const END: End<'_> = End {
    to: HOST4,
    call: "",
    serve: None,
    says: "",
    how: "orderly",
    closed_first: None,
    told: &[],
    summary: "",
};

impl End<'_> {
    fn check(&self, world: &World) {
        let server = self.serve.map(|steps| {
            let steps: Vec<&str> = steps.split_whitespace().collect();
            world.script("peer.py", &[&["serve", PORT], &steps[..]].concat())
        });
        let script = world.path("peer.py");
        let steps: Vec<&str> = self.call.split_whitespace().collect();
        let arguments = [&["python3", &script, "call", self.to, PORT], &steps[..]].concat();
        let mut direct = world.user(arguments[0]);
        direct.args(&arguments[1..]);
        let direct = finish(direct);
        let heard = server.as_ref().map(|server| server.line());
        assert_eq!(direct.stdout.trim_end(), self.says, "without fourwave: {direct:?}");

        let run = watched(world, &[], &arguments);
        let context = format!("{} ↔ {:?}\n{}", self.call, self.serve, run.ladder);
        let (ours, theirs) = (&run.outcome, &direct);
        assert_eq!((&ours.stdout, ours.code), (&theirs.stdout, theirs.code), "{context}");
        assert_eq!(server.as_ref().map(|server| server.line()), heard, "the server: {context}");

        let end = run.end();
        assert_eq!(end["how"], self.how, "{context}");
        if let Some((who, by)) = self.closed_first {
            let first = &end["closed_first"];
            assert_eq!((&first["end"], &first["by"]), (&json!(who), &json!(by)), "{context}");
        }
        assert_eq!(end["unexpected_segments"], 0, "{context}");
        run.assert_told(self.told);
        let stderr = &ours.stderr;
        assert!(stderr.starts_with("fourwave: 1 connection, "), "{stderr}{context}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.trim_end().ends_with(self.summary), "{stderr}{context}");
        run.assert_captured(world);
    }
}

fn check(end: &End<'_>) {
    each_user(&[], |world| {
        if world.ipv6 || !end.to.contains(':') {
            end.check(world);
        } else {
            not_here(&this_test(), "this kernel has no IPv6");
        }
    });
}

#[test]
fn the_destination_refuses() {
    let end = End {
        says: "connect ECONNREFUSED",
        how: "refused",
        told: &["the destination refused the connection", "RST ACK seq=0 ack=1"],
        summary: "; 1 refused",
        ..END
    };
    check(&end);
    check(&End { to: HOST6, ..end });
}

#[test]
fn the_destination_never_answers() {
    check(&End {
        to: SILENT,
        says: "connect ETIMEDOUT",
        how: "unanswered",
        told: &["nothing answered the SYN and its", "the program in SYN_SENT"],
        summary: "; 1 unanswered",
        ..END
    });
}

#[test]
fn the_destination_is_unreachable() {
    let host = End {
        to: UNREACHABLE4,
        says: "connect EHOSTUNREACH",
        how: "unreachable",
        told: &["ICMP: host unreachable"],
        summary: "; 1 unreachable",
        ..END
    };
    check(&host);
    check(&End { to: UNREACHABLE6, told: &["ICMP: "], ..host });
    let net = End { says: "connect ENETUNREACH", told: &["ICMP: "], ..host };
    check(&End { to: ROUTELESS4, ..net });
    check(&End { to: ROUTELESS6, ..net });
}

#[test]
fn the_client_closes_first() {
    let end = End {
        call: "send:5 shut read:end close",
        serve: Some("read:end send:700 close"),
        says: "read 700 6909cc71 end",
        closed_first: Some(("client", "FIN")),
        told: &[
            "wave 1: \"I send no more data\"",
            "wave 2: \"I heard: your direction is closed\"",
            "wave 3: \"I send no more data either\"",
            "wave 4: \"I heard: closed\"",
            "closed first the program, with FIN",
            "TIME_WAIT the program, until",
        ],
        summary: "; 1 closed by the program",
        ..END
    };
    check(&end);
    check(&End { to: HOST6, ..end });
}

#[test]
fn the_server_closes_first() {
    let end = End {
        call: "send:5 read:end close",
        serve: Some("read:5 send:700 close"),
        says: "read 700 6909cc71 end",
        closed_first: Some(("server", "FIN")),
        told: &["closed first the server, with FIN", "TIME_WAIT the server, until"],
        summary: "; 1 closed by the server",
        ..END
    };
    check(&end);
    check(&End { to: HOST6, ..end });
}

/// The answer comes long after the client's FIN, and is long.
#[test]
fn a_half_closed_connection_carries_the_answer_to_its_end() {
    check(&End {
        call: "send:1 shut read:end close",
        serve: Some("read:end wait:3 send:8000000 close"),
        says: "read 8000000 d8c1b556 end",
        closed_first: Some(("client", "FIN")),
        told: &["half-closed", "the server sent 8 MB in that time"],
        summary: "1 closed by the program",
        ..END
    });
    // The other way round: the server has said all at once and listens on.
    check(&End {
        call: "read:end wait:2 send:8000000 close",
        serve: Some("send:1 shut read:end close"),
        says: "read 1 6e340b9c end",
        closed_first: Some(("server", "FIN")),
        told: &["half-closed", "the program sent 8 MB in that time"],
        summary: "1 closed by the server",
        ..END
    });
}

#[test]
fn the_server_resets_in_mid_stream() {
    let end = End {
        call: "send:1 read:300000 read:end",
        serve: Some("read:1 send:300000 acked abort"),
        says: "read 300000 be4c88ed; read 0 e3b0c442 ECONNRESET",
        how: "reset",
        closed_first: Some(("server", "RST")),
        told: &["the destination reset the connection"],
        summary: "; 1 reset by the server",
        ..END
    };
    check(&end);
    check(&End { to: HOST6, ..end });
}

/// What was received before the RST is not lost on a program that reads late.
#[test]
fn what_came_before_a_reset_is_still_read() {
    check(&End {
        call: "send:1 broken read:end",
        serve: Some("read:1 send:40000 acked abort"),
        says: "read 40000 ee382f3f ECONNRESET",
        how: "reset",
        closed_first: Some(("server", "RST")),
        told: &["closed first the server, with RST"],
        summary: "; 1 reset by the server",
        ..END
    });
}

/// A server that closes with data unread answers with RST: ECONNRESET in the program's write.
#[test]
fn the_server_closes_without_reading_while_the_program_writes() {
    check(&End {
        call: "flood",
        serve: Some("unread close"),
        says: "flood ECONNRESET",
        how: "reset",
        closed_first: Some(("server", "RST")),
        told: &["the destination reset the connection"],
        summary: "; 1 reset by the server",
        ..END
    });
}

/// A server that closed in order, and is written to all the same: EPIPE.
#[test]
fn the_server_closes_and_the_program_writes_on() {
    check(&End {
        call: "send:1 read:end flood",
        serve: Some("read:1 close"),
        says: "read 0 e3b0c442 end; flood EPIPE",
        how: "reset",
        closed_first: Some(("server", "FIN")),
        told: &["closed first the server, with FIN", "the destination reset the connection"],
        summary: "; 1 reset by the server",
        ..END
    });
}

#[test]
fn the_program_is_killed_and_had_read_everything() {
    check(&End {
        call: "send:100000 kill",
        serve: Some("read:end close"),
        says: "kill",
        closed_first: Some(("client", "FIN")),
        told: &["closed first the program, with FIN"],
        summary: "; 1 closed by the program",
        ..END
    });
}

#[test]
fn the_program_is_killed_with_data_unread() {
    check(&End {
        call: "send:1 unread kill",
        serve: Some("read:1 send:1000 skim"),
        says: "kill",
        how: "reset",
        closed_first: Some(("client", "RST")),
        told: &["closed first the program, with RST"],
        summary: "; 1 reset by the program",
        ..END
    });
}

#[test]
fn the_program_is_killed_while_the_server_sends() {
    check(&End {
        call: "send:1 read:1000000 kill",
        serve: Some("read:1 flood"),
        says: "kill",
        how: "reset",
        told: &["the program"],
        summary: "; 1 reset by the program",
        ..END
    });
}

#[test]
fn the_program_aborts() {
    check(&End {
        call: "send:1000 read:1 abort",
        serve: Some("read:1000 send:1 read:end"),
        says: "read 1 6e340b9c",
        how: "reset",
        closed_first: Some(("client", "RST")),
        told: &["closed first the program, with RST"],
        summary: "; 1 reset by the program",
        ..END
    });
}

/// What the program was told had arrived is not lost by its RST, even if nobody read it yet.
#[test]
fn what_was_acknowledged_before_the_program_aborts_is_still_read() {
    check(&End {
        call: "send:40000 acked abort",
        serve: Some("broken read:end"),
        says: "done",
        how: "reset",
        closed_first: Some(("client", "RST")),
        told: &["closed first the program, with RST"],
        summary: "; 1 reset by the program",
        ..END
    });
}

/// The last bytes of a program that is gone reach a server that is slow.
#[test]
fn the_program_ends_before_the_server_has_read() {
    check(&End {
        call: "send:3000000 close",
        serve: Some("wait:3 read:end close"),
        says: "done",
        // The watching ends with the program; the host's kernel delivers on.
        how: "reset",
        closed_first: Some(("client", "FIN")),
        told: &["closed first the program, with FIN", "the process that held the connection ended"],
        summary: "; 1 still open at the end",
        ..END
    });
}

/// More than the host's kernel holds for it: the run itself waits until all is handed over.
#[test]
fn the_program_ends_before_the_server_has_read_what_no_buffer_holds() {
    each_user(&[], |world| {
        let steps = ["serve", PORT, "wait:3", "read:end", "close"];
        let server = world.script("peer.py", &steps);
        let program = ["python3", &world.path("peer.py"), "call", HOST4, PORT, "send:20000000"];
        finish(world.fourwave(&["--quiet"], &program)).well();
        assert_eq!(server.line(), "read 20000000 588842e3 end");
    });
}

/// What a program asked of its TCP holds for the whole way: its own kernel finds the dead end.
#[test]
fn the_server_is_dead_and_the_program_has_asked_for_keepalives() {
    check(&End {
        call: "send:1 read:1 keepalive:1,1,2 read:end",
        serve: Some("read:1 send:1 acked dead"),
        says: "read 1 6e340b9c; read 0 e3b0c442 ETIMEDOUT",
        how: "reset",
        closed_first: Some(("client", "RST")),
        told: &["keepalive probe", "the destination is silent", "closed first the program"],
        summary: "; 1 reset by the program",
        ..END
    });
}

#[test]
fn the_server_is_dead_and_the_program_limits_how_long_its_data_waits() {
    check(&End {
        call: "send:1 read:1 wait:0.4 limit:1500 send:5 read:end",
        serve: Some("read:1 send:1 acked dead"),
        says: "read 1 6e340b9c; read 0 e3b0c442 ETIMEDOUT",
        how: "reset",
        told: &["the destination is silent", "the process that held the connection ended"],
        summary: "; 1 still open at the end",
        ..END
    });
}

/// Probes and data after silences are answered where the server lives, as late as it answers.
#[test]
fn the_server_is_slow_and_lives() {
    check(&End {
        call: "keepalive:1,1,1 limit:1000 send:1 wait:3.3 send:5 wait:0.4 send:70000 read:end",
        serve: Some("read:70006 send:1 close"),
        says: "read 1 6e340b9c end",
        closed_first: Some(("server", "FIN")),
        told: &["keepalive probe", "closed first the server"],
        summary: "; 1 closed by the server",
        ..END
    });
}

/// Linux forgets the half-closed connection of a killed program, and says so only when asked.
#[test]
fn what_a_killed_program_leaves_half_closed_is_not_held_for_ever() {
    each_user(&[], |world| {
        let server = world.script("peer.py", &["serve", PORT, "read:end", "broken"]);
        let steps = format!("call {HOST4} {PORT} send:1 linger2:1 kill");
        let command = format!("python3 {} {steps}; exec cat", world.path("peer.py"));
        let mut run =
            world.fourwave(&["-q", "-o", "tcp_half_closed_time=1"], &["sh", "-c", &command]);
        // Its standard input stays open: the run lives until the server has answered.
        let mut run = run.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let line = server.line();
        drop(run.stdin.take());
        assert!(run.wait().unwrap().success());
        assert_eq!(line, "read 1 6e340b9c end");
    });
}

/// One that answers no more, and knows nothing of the connection when asked.
#[test]
fn the_connection_is_half_open() {
    check(&End {
        call: "send:1 read:1 wait:0.2 flood",
        serve: Some("read:1 send:1 acked vanish"),
        says: "read 1 6e340b9c; flood ECONNRESET",
        how: "reset",
        closed_first: Some(("server", "RST")),
        told: &["the destination reset the connection"],
        summary: "; 1 reset by the server",
        ..END
    });
}
