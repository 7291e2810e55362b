use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fourwave_core::state::State;
use fourwave_lens::{
    Anomaly, AnomalyKind, ClosedBy, ClosedFirst, EndMetrics, Ended, EntryKind, LadderEntry,
    Metrics, Move, Proof, Role, RstCause, Wave,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;

use super::column::{Field, Kind, Value};
use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/parquet.md");

/// 2026-11-22 23:59:58 UTC.
const LATE: Duration = Duration::from_secs(1_795_391_998);

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("fourwave-parquet-{:016x}", random()));
        Self(dir)
    }

    /// Every file below, hidden ones too, as paths from here.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut ahead = vec![self.0.clone()];
        while let Some(dir) = ahead.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    ahead.push(path);
                } else {
                    let path = path.strip_prefix(&self.0).unwrap();
                    found.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn row(at: Duration, packet: u64, moved: Option<Move>, wave: Option<Wave>) -> LadderEntry {
    LadderEntry {
        at,
        packet,
        from: Role::Server,
        what: EntryKind::Note("a word".to_owned()),
        moved: [None, moved],
        wave,
        cause: None,
        annotation: None,
    }
}

fn record(conn: u64, opened: Duration) -> ConnectionRecord {
    let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
    let mut proof = Proof::default();
    proof.add(2);
    let who = Role::Server;
    let found =
        |kind| Anomaly { kind, who: Some(who), at: opened, proof: proof.clone(), duration: None };
    let client = EndMetrics { fins: 1, payload: 100, ..EndMetrics::default() };
    let server = EndMetrics { rsts: 2, ..EndMetrics::default() };
    let leave = Move { from: State::Established, to: State::CloseWait };
    let mut record = ConnectionRecord::new(conn, [addr("10.0.0.1:40000"), addr("[fd00::2]:443")]);
    record.opened_by = Some(Role::Client);
    record.opened = opened;
    record.ended = opened + Duration::from_micros(3_000_001);
    record.states = [State::Closed, State::Closed];
    record.bytes = [100, 0];
    record.bytes_acked = [100, 0];
    record.segments = [3, 2];
    record.retransmitted = [0, 0];
    record.fin_retransmissions = [0, 0];
    record.closed_first = Some(ClosedFirst { who: Role::Client, by: ClosedBy::Fin, at: opened });
    record.how = Ended::Reset { by: who, cause: RstCause::DataAfterClose };
    record.unseen = [0, 0];
    record.metrics = Some(Box::new(Metrics { ends: [client, server], ..Metrics::default() }));
    record.anomalies = vec![found(AnomalyKind::Aborted), found(AnomalyKind::FinRetransmitted)];
    record.entries = vec![
        row(opened, 2, None, None),
        row(opened + Duration::from_secs(3), 3, Some(leave), Some(Wave::TwoThree)),
    ];
    record
}

fn numbering() -> Numbering {
    let mut numbering = Numbering::default();
    numbering.begin("/captures/a b.pcap", 0);
    numbering.begin("c.pcap", 2);
    numbering
}

fn read(dir: &Dir, file: &str) -> SerializedFileReader<File> {
    SerializedFileReader::new(File::open(dir.0.join(file)).unwrap()).unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let dir = Dir::new();
    let mut tables = Tables::create(&dir.0).unwrap();
    let numbering = numbering();
    tables.record(&record(7, LATE), &numbering).unwrap();
    let run = String::from_utf8(tables.run.to_vec()).unwrap();
    assert!(dir.files().iter().all(|file| file.contains("/.part-") && file.ends_with(".tmp")));
    tables.finish(&Overview::default(), &numbering).unwrap();
    let files = dir.files();
    assert_eq!(
        files,
        [
            format!("events/day=2026-11-22/part-a_b.pcap-{run}-0000.parquet"),
            format!("events/day=2026-11-23/part-c.pcap-{run}-0001.parquet"),
            format!("flows/day=2026-11-22/part-a_b.pcap-{run}-0000.parquet"),
        ]
    );
    let flows = read(&dir, &files[2]);
    let rows: Vec<_> = flows.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    let text: Vec<_> = rows[0].get_column_iter().map(|(name, it)| format!("{name}={it}")).collect();
    for expected in [
        "capture=\"/captures/a b.pcap\"",
        "conn=7",
        "first_packet=2",
        "server_addr=\"fd00::2\"",
        "server_port=443",
        "opened=2026-11-22 23:59:58.000000 +00:00",
        "duration_us=3000001",
        "reset_cause=\"data-after-close\"",
        "anomalies=[\"aborted\", \"fin-retransmitted\"]",
        "handshake_us=null",
        "client_fins=1",
        "server_rsts=2",
        "server_rtt_min_us=null",
    ] {
        assert!(text.iter().any(|it| it == expected), "no {expected} in {text:#?}");
    }
    let events = read(&dir, &files[1]);
    let rows: Vec<_> = events.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let fields: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.get_string(1).unwrap().as_str(),
                row.get_long(7).unwrap(),
                row.get_long(10).unwrap(),
                row.get_string(11).unwrap().as_str(),
            )
        })
        .collect();
    let file = "c.pcap";
    assert_eq!(fields, [(file, 1, 1, "note"), (file, 2, 1, "state"), (file, 3, 1, "wave")]);
}

#[test]
fn without_an_end_nothing_stays() {
    let dir = Dir::new();
    let mut tables = Tables::create(&dir.0).unwrap();
    tables.record(&record(1, LATE), &numbering()).unwrap();
    assert_eq!(dir.files().len(), 3);
    drop(tables);
    assert_eq!(dir.files(), [""; 0]);
}

#[test]
fn two_runs_share_a_directory() {
    let dir = Dir::new();
    for _ in 0..2 {
        let mut tables = Tables::create(&dir.0).unwrap();
        tables.record(&record(1, LATE), &numbering()).unwrap();
        tables.finish(&Overview::default(), &numbering()).unwrap();
    }
    assert_eq!(dir.files().len(), 6);
}

#[test]
fn memory_is_bounded_and_no_row_is_lost() {
    let dir = Dir::new();
    let fields = vec![Field { name: "n", kind: Kind::Long, always: true }];
    let mut table = Table::create(&dir.0, "t", fields).unwrap();
    let (days, rows) = (20_u64, 200_000_u64);
    for n in 0..rows {
        // Days go by, but something of the first one comes now and then.
        let day = if n % 1000 == 0 { 0 } else { n * days / rows };
        let value = std::iter::once(Value::from(n));
        table.row("s", Duration::from_secs(day * 86_400), value).unwrap();
        assert!(table.waiting() <= 64 * 1024);
        assert!(table.open() <= 8);
    }
    table.finish().unwrap();
    let (mut read_rows, mut largest) = (0, 0);
    for file in dir.files() {
        let metadata = read(&dir, &file).metadata().clone();
        read_rows += metadata.file_metadata().num_rows();
        let groups = metadata.row_groups().iter().map(|group| group.num_rows());
        largest = largest.max(groups.max().unwrap());
    }
    assert_eq!(read_rows, 200_000);
    assert!(largest <= 64 * 1024);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = Dir::new();
    fs::write(&dir.0, "in the way").unwrap();
    let error = Tables::create(&dir.0).err().unwrap().to_string();
    fs::remove_file(&dir.0).unwrap();
    let path = dir.0.join("flows");
    assert!(error.starts_with(&format!("cannot make the directory {}: ", path.display())));
    assert_eq!(error.lines().count(), 1);
}

/// The columns in the document's table under `heading`: name, type, whether it may be null.
fn documented(heading: &str) -> Vec<(String, String, bool)> {
    let start = DOCUMENT.find(&format!("\n### {heading}\n")).unwrap() + 1;
    let mut found = Vec::new();
    for line in DOCUMENT[start..].lines().skip(1).take_while(|line| !line.starts_with('#')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [name, kind, null, _] = cells[..]
            && let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'))
        {
            found.push((name.to_owned(), kind.to_owned(), null == "yes"));
        }
    }
    found
}

#[test]
fn the_document_has_every_column_in_order() {
    let described =
        |field: Field| (field.name.to_owned(), field.kind.sql().to_owned(), !field.always);
    let flows: Vec<_> = flows::columns().iter().map(|column| described(column.field)).collect();
    let events: Vec<_> = events::columns().iter().map(|column| described(column.field)).collect();
    assert_eq!(documented("flows"), flows);
    assert_eq!(documented("events"), events);
}

#[test]
fn a_capture_of_any_name_makes_a_name_of_a_file() {
    assert_eq!(stem("/var/log/Web 1 (eth0).pcap.gz"), "Web_1__eth0_.pcap.gz");
    assert_eq!(stem("-"), "stdin");
    assert_eq!(stem(".."), "stdin");
    assert_eq!(stem(&"x".repeat(300)).len(), MAX_STEM);
}
