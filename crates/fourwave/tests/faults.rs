//! Two engines, and faults to order between them: what each loss does to how a connection ends.

mod common;

use std::sync::{Arc, Mutex};

use common::{CLIENT, check_pattern, connected, options, send_pattern};
use fourwave::device::memory::{self, MemoryDevice};
use fourwave::{Config, EndReason, EndReport, Link, Stack, end_reason};
use fourwave_fault::{Faulty, Plan};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The client's device has the faults: the client is the peer, the server the program.
struct Bench {
    client: Stack,
    server: Stack,
    faulty: Arc<Faulty<MemoryDevice, Plan>>,
    told: Arc<Mutex<Vec<String>>>,
}

fn bench(specs: &[&str]) -> Bench {
    bench_with(specs, Config::default())
}

fn bench_with(specs: &[&str], config: Config) -> Bench {
    let link = Link::offloading(1500);
    let (a, b) = memory::pair(link, link, 4096);
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let specs = specs.iter().map(|text| text.parse().unwrap()).collect();
    let plan = Plan::new(specs, 3, move |note| hears.lock().unwrap().push(note.text.clone()));
    let faulty = Arc::new(Faulty::with_faults(a, plan));
    let client = options(&[CLIENT], 1).config(config);
    let client = Stack::spawn(Arc::clone(&faulty), client).unwrap();
    let server = Stack::spawn(b, options(&[], 2)).unwrap();
    Bench { client, server, faulty, told }
}

impl Bench {
    /// The client sends `len` bytes and closes, then the server. Both reports.
    async fn four_waves(&self, len: u64) -> [EndReport; 2] {
        let mut ends = [&self.client, &self.server].map(|stack| stack.take_ends().unwrap());
        let (mut near, mut far) = connected(&self.client, &self.server).await;
        let serving = tokio::spawn(async move {
            let got = check_pattern(&mut far).await.unwrap();
            far.shutdown().await.unwrap();
            got
        });
        send_pattern(&mut near, len).await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(serving.await.unwrap(), len);
        drop(near);
        tokio::join!(self.client.drained(), self.server.drained());
        let [client, server] = &mut ends;
        [client.recv().await.unwrap(), server.recv().await.unwrap()]
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_ack_costs_a_fin_again_and_the_end_is_orderly() {
    for lost in 1..=3 {
        let bench = bench(&[&format!("drop:last-ack:{lost}")]);
        let [client, server] = bench.four_waves(10_000).await;
        assert_eq!(server.reason, EndReason::Orderly);
        assert_eq!(server.fin_retransmits, lost, "as many as were lost");
        assert_eq!(client.fin_retransmits, 0);
        assert!(client.time_wait_until.is_some() && server.time_wait_until.is_none());
        assert_eq!(bench.told().len(), lost as usize);
        assert!(bench.told()[0].contains("the peer's last ACK dropped"), "{:?}", bench.told());
    }
}

#[tokio::test(start_paused = true)]
async fn without_time_wait_a_lost_last_ack_is_an_error() {
    let config = Config { tcp_timewait_len: 0, ..Config::default() };
    let bench = bench_with(&["drop:last-ack"], config);
    let [_, server] = bench.four_waves(10).await;
    assert_eq!(server.reason, EndReason::ResetByPeer, "although all went well");
}

#[tokio::test(start_paused = true)]
async fn lost_fins_are_sent_again_by_whose_they_are() {
    let both = bench(&["drop:fin:2"]).four_waves(10_000).await;
    assert!(both.iter().all(|end| end.reason == EndReason::Orderly));
    assert_eq!(both.map(|end| end.fin_retransmits), [2, 2]);
    let [client, server] = bench(&["drop:fin:program:3"]).four_waves(10_000).await;
    assert_eq!([client, server].map(|end| end.fin_retransmits), [0, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_late_fin_is_only_late() {
    let bench = bench(&["delay:fin:peer:150ms"]);
    let ends = bench.four_waves(10_000).await;
    assert!(ends.iter().all(|end| end.reason == EndReason::Orderly));
    assert_eq!(ends.map(|end| end.fin_retransmits), [0, 0]);
    assert_eq!(bench.told(), ["delay:fin:peer:150ms: the peer's FIN held back for 150ms"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_both_sides_after_the_bytes() {
    // With a bad link too: who was not reached by the first RST is by another.
    for specs in [&["rst-after:50kb"][..], &["rst-after:50kb", "loss:10%,reorder:5%,delay:3ms"]] {
        let bench = bench(specs);
        let (mut near, mut far) = connected(&bench.client, &bench.server).await;
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            let error = far.read_to_end(&mut got).await.unwrap_err();
            (got.len(), end_reason(&error))
        });
        let error = send_pattern(&mut near, 10_000_000).await.unwrap_err();
        assert_eq!(end_reason(&error), Some(EndReason::ResetByPeer));
        let (got, reason) = reading.await.unwrap();
        assert_eq!(reason, Some(EndReason::ResetByPeer));
        assert!(got < 52_000, "{got}");
        assert!(specs.len() > 1 || got >= 50_000, "{got}");
        assert!(bench.told().iter().any(|line| line.contains("RST to both ends")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_peer_takes_nothing_more() {
    // The program's is the server's side here: it sends, and the client's windows read 0.
    let bench = bench(&["stall:zero-window:100kb"]);
    let (_near, mut far) = connected(&bench.client, &bench.server).await;
    let sending = tokio::spawn(async move { send_pattern(&mut far, 50_000_000).await });
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    assert!(!sending.is_finished(), "probes are answered, so nothing ends");
    let counters = bench.server.counters();
    assert!(counters.window_probes > 3, "{counters:?}");
    assert_eq!(bench.server.population().connections, 1);
    sending.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_not_meant_is_untouched() {
    let bench = bench(&["drop:fin@:81", "rst-after:0@192.0.2.1", "loss:100%@:53"]);
    let ends = bench.four_waves(100_000).await;
    assert!(ends.iter().all(|end| end.reason == EndReason::Orderly));
    assert_eq!(bench.told(), Vec::<String>::new());
    let report = bench.faulty.inspect(Plan::report);
    assert!(report.iter().all(|line| line.ends_with(" was meant")), "{report:?}");
    assert_eq!(bench.server.counters().retrans_segs, 0);
}
