//! DuckDB reads the tables of `trace --parquet` as docs/parquet.md says it does.

use std::process::Command;

use fourwave_testkit::{Bounded, find};

use crate::lab::{Lab, can, skipped, text};

const DOCUMENT: &str = include_str!("../../../../docs/parquet.md");

/// A Python that has the module `duckdb`: `FOURWAVE_DUCKDB` names one, else that of the path.
fn python() -> Option<String> {
    let python = std::env::var("FOURWAVE_DUCKDB").unwrap_or_else(|_| "python3".to_owned());
    let there = find(&python).is_some() || std::path::Path::new(&python).is_file();
    let asked = || Command::new(&python).args(["-c", "import duckdb"]).bounded();
    (there && asked().status.success()).then_some(python)
}

/// The document's queries, in DuckDB's words: each block marked `sql` under its heading.
fn queries() -> Vec<String> {
    let start = DOCUMENT.find("\n## DuckDB\n").expect("the heading");
    let end = DOCUMENT[start + 1..].find("\n## ").map_or(DOCUMENT.len(), |at| start + 1 + at);
    let blocks = DOCUMENT[start..end].split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Two captures of two runs in one directory, as a fleet has them.
const FLEET: &str = r#"
tap client.pcap c --immediate-mode
tap server.pcap s --immediate-mode
s python3 ends.py serve >ends.log &
listening 7007
c python3 ends.py visit $S 2
SETTLE=1 untap
"$FOURWAVE" trace --parquet tables client.pcap >/dev/null
"$FOURWAVE" trace --parquet tables server.pcap >/dev/null
"#;

/// Runs SQL from standard input, `tables` being the directory; prints each result's rows.
const ASK: &str = r#"
import duckdb, os, sys
os.chdir(sys.argv[1])
for query in sys.stdin.read().split("\0"):
    print(len(duckdb.sql(query).fetchall()))
flows = "read_parquet('tables/flows/**/*.parquet', hive_partitioning = true)"
events = "read_parquet('tables/events/**/*.parquet', hive_partitioning = true)"
one = lambda query: print(duckdb.sql(query).fetchall())
one(f"""select count(*), count(distinct run), count(distinct (run, conn)),
    count(distinct capture) from {flows}""")
one(f"""select sum(client_fins + server_fins), sum(client_bytes) from {flows}
    where capture = 'client.pcap'""")
one(f"select count(*) from {flows} where day != opened::date")
one(f"select count(*) from {events} as e anti join {flows} as f using (run, conn)")
one(f"select count(*) from {events} where event = 'wave' and wave is null")
one(f"""select count(*) from {flows}
    where how = 'refused' and not list_contains(anomalies, 'refused')""")
"#;

#[test]
fn duckdb_reads_the_tables() {
    if !can(&[]) {
        return;
    }
    let Some(python) = python() else {
        return skipped("python3 has no module duckdb (pip install duckdb)");
    };
    let lab = Lab::run(FLEET, &[]);
    let queries = queries();
    assert!(queries.len() >= 4, "{queries:?}");
    std::fs::write(lab.path("queries.sql"), queries.join("\0")).unwrap();
    let input = std::fs::File::open(lab.path("queries.sql")).unwrap();
    let mut ask = Command::new(python);
    ask.args(["-c", ASK, &lab.path("")]).env("TZ", "UTC");
    let output = ask.bounded_reading(input);
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    // Every query of the document has an answer, and what trace tells is what the tables hold.
    for (query, line) in queries.iter().zip(&lines) {
        assert_ne!(*line, "0", "{query}");
    }
    let told = crate::told::connections(&lab.path("client.pcap")).0;
    let sum = |of: &dyn Fn(&crate::told::Told) -> u64| told.iter().map(of).sum::<u64>();
    let fins = sum(&|it| {
        ["client", "server"].map(|end| it.metrics[end]["fins"].as_u64().unwrap()).iter().sum()
    });
    let bytes = sum(&|it| it.end["bytes"]["client"].as_u64().unwrap());
    let all = told.len() * 2;
    assert_eq!(
        lines[queries.len()..],
        [
            &format!("[({all}, 2, {all}, 2)]"),
            &format!("[({fins}, {bytes})]"),
            "[(0,)]",
            "[(0,)]",
            "[(0,)]",
            "[(0,)]"
        ]
    );
}
