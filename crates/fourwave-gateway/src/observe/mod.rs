//! What is drawn and written of the program's connections: device → lens → ladder, events, pcapng.
//!
//! Without any output no tap is put on the device; the summary is made of the engine's reports.

mod event_writer;
mod tap;
mod warnings;

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fourwave::{
    Config, Device, EndReport, Notice, NoticeKind, Reports, SenderReport, Stack, StackOptions,
};
use fourwave_device::tap::Tapped;
use fourwave_fault::FaultSpec;
use fourwave_lens::ladder::LadderOptions;
use fourwave_lens::summary::{Summary, Unopened};
use fourwave_lens::{Names, Warning};
use tokio::task::JoinHandle;

use crate::addresses::{PROGRAM_V4, PROGRAM_V6};
use crate::faults::{self, Faults};
use crate::notice::say;
use event_writer::EventWriter;
use tap::Watch;
use warnings::Leaks;
pub(crate) use warnings::{Leak, Leaker};

/// What to draw and write, each already opened and empty. The default is nothing.
#[derive(Default)]
pub struct LensOptions {
    /// Each connection's ladder, when it ends.
    pub ladder: Option<Drawn>,
    /// A line for each thing that happens, as it happens.
    pub follow: Option<Drawn>,
    /// Where each event is written as a line of JSON.
    pub events: Option<File>,
    /// Where the packets are written as pcapng.
    pub pcap: Option<File>,
}

/// A stream for people.
pub struct Drawn {
    /// Where it goes.
    pub out: Box<dyn Write + Send>,
    /// How it looks there; the names in it are not used.
    pub look: LadderOptions,
}

impl LensOptions {
    fn is_nothing(&self) -> bool {
        let Self { ladder, follow, events, pcap } = self;
        ladder.is_none() && follow.is_none() && events.is_none() && pcap.is_none()
    }
}

/// Watches a stack and its device.
pub(crate) struct Observer {
    watch: Option<Arc<Watch>>,
    event_writer: Option<EventWriter>,
    summary: Arc<Mutex<Summary>>,
    leaks: Arc<Leaks>,
    gathering: JoinHandle<()>,
    faults: Option<Faults>,
}

/// Says beside the packets why something happens to a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Annotations {
    watch: Option<Arc<Watch>>,
    summary: Arc<Mutex<Summary>>,
    leaks: Arc<Leaks>,
}

impl Annotations {
    /// A line in the ladder of the connection between the program and `other`.
    pub(crate) fn note(
        &self,
        program: SocketAddr,
        other: SocketAddr,
        text: impl FnOnce() -> String,
    ) {
        if let Some(watch) = &self.watch {
            watch.note((program, other), &text());
        }
    }

    /// How long an end may be in CLOSE_WAIT before it is suspected; `None` indefinitely.
    pub(crate) fn close_wait_limit(&self) -> Option<Duration> {
        self.leaks.limit()
    }

    /// An end has been in CLOSE_WAIT for that long.
    pub(crate) fn leak(&self, leak: &Leak) {
        self.leaks.add(leak);
        if let Some(watch) = &self.watch {
            watch.warning(leak.ends(), |shift| leak.warning(shift));
        }
    }

    /// What the engine noticed.
    fn notice(&self, notice: &Notice) {
        if let Some(leak) = Leak::of_the_far_end(notice) {
            return self.leak(&leak);
        }
        if let (Some(watch), NoticeKind::Unanswered { backoff, icmp_error }) =
            (&self.watch, notice.what)
        {
            watch.warning((notice.local, notice.remote), |_| Warning::Unanswered {
                retransmissions: backoff,
                icmp_error,
            });
        }
    }

    /// A call of the program that the gateway refused, which the engine does not report.
    pub(crate) fn unopened(&self, why: Unopened) {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).add_unopened(why);
    }
}

impl Observer {
    /// Puts a stack on `device`, behind `faults`, and watches it. `published` are the ports on
    /// which the program is called; `quiet` keeps warnings off stderr.
    ///
    /// # Errors
    /// The device's, or the first bytes of an output cannot be written.
    pub(crate) fn start(
        device: impl Device + 'static,
        stack: StackOptions,
        lens: LensOptions,
        published: Vec<u16>,
        quiet: bool,
        faults: Vec<FaultSpec>,
    ) -> io::Result<(Stack, Self)> {
        let summary = Arc::new(Mutex::new(Summary::new()));
        let limit = Duration::from_secs(stack.config.tcp_close_wait_limit);
        let leaks = Arc::new(Leaks::new(quiet, published, limit));
        let options = lens_options(&stack.config, &lens);
        let wants_senders = lens.events.is_some() || lens.pcap.is_some();
        let (stack, faults, watch, event_writer) = if lens.is_nothing() {
            let (stack, faults) = faults::spawn(device, stack, faults, |_, _| {})?;
            (stack, faults, None, None)
        } else {
            let names = Names::gateway(&[PROGRAM_V4.into(), PROGRAM_V6.into()]);
            let LensOptions { ladder, follow, events, pcap } = lens;
            let event_writer = EventWriter::start(ladder, follow, events, &names)?;
            let origin = Instant::now();
            let watch = Arc::new(Watch::new(options, names, pcap, event_writer.sender(), origin)?);
            let tapped = Tapped::with_origin(device, Arc::clone(&watch), origin);
            let noting = Arc::clone(&watch);
            let note = move |ends, text: &str| noting.note(ends, text);
            let (stack, faults) = faults::spawn(tapped, stack, faults, note)?;
            // The engine's clock started a little after ours.
            let engine = Duration::from_micros(stack.now().as_micros());
            watch.set_engine_epoch(origin.elapsed().saturating_sub(engine));
            (stack, faults, Some(watch), Some(event_writer))
        };
        let senders = if wants_senders { stack.take_senders() } else { None };
        let annotations = Annotations {
            watch: watch.clone(),
            summary: Arc::clone(&summary),
            leaks: Arc::clone(&leaks),
        };
        let told = (stack.take_ends(), stack.take_notices(), senders);
        let gathering = tokio::spawn(gather(told, annotations));
        Ok((stack, Self { watch, event_writer, summary, leaks, gathering, faults }))
    }

    /// For those who know more than the packets say.
    pub(crate) fn annotations(&self) -> Annotations {
        Annotations {
            watch: self.watch.clone(),
            summary: Arc::clone(&self.summary),
            leaks: Arc::clone(&self.leaks),
        }
    }

    /// The faults, where there are any.
    pub(crate) fn faults(&self) -> Option<Faults> {
        self.faults.clone()
    }

    /// How many CLOSE_WAIT leaks were suspected, when not each had a line of its own.
    pub(crate) fn leaks(&self) -> Option<String> {
        self.leaks.total()
    }

    /// The stack has stopped: completes all outputs. What could not be written is told on stderr.
    pub(crate) async fn finish(self) -> Summary {
        // The task ends with the stack; it fails only by a panic of its own.
        let _ = self.gathering.await;
        if let Some(watch) = &self.watch {
            watch.finish();
        }
        if let Some(event_writer) = self.event_writer {
            event_writer.finish().await;
        }
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn lens_options(config: &Config, lens: &LensOptions) -> fourwave_lens::LensOptions {
    fourwave_lens::LensOptions {
        time_wait: Duration::from_secs(config.tcp_timewait_len),
        rfc1337: config.tcp_rfc1337 == 1,
        live: lens.follow.is_some() || lens.events.is_some(),
        ..fourwave_lens::LensOptions::default()
    }
}

/// What a stack tells.
type Told = (Option<Reports<EndReport>>, Option<Reports<Notice>>, Option<Reports<SenderReport>>);

/// The next report; where there are none, never.
async fn next<T>(reports: &mut Option<Reports<T>>) -> Option<T> {
    match reports {
        Some(reports) => reports.recv().await,
        None => std::future::pending().await,
    }
}

/// Takes the engine's reports and notices until the stack stops, and gives the lens its time.
async fn gather((ends, notices, mut senders): Told, annotations: Annotations) {
    let (Some(mut ends), Some(mut notices)) = (ends, notices) else { return };
    loop {
        let report = tokio::select! {
            // First: a notice is older than the end of the same connection.
            biased;
            Some(notice) = notices.recv() => {
                annotations.notice(&notice);
                continue;
            }
            Some(report) = next(&mut senders) => {
                if let Some(watch) = &annotations.watch {
                    watch.sender(&report);
                }
                continue;
            }
            report = ends.recv() => report,
            () = due(annotations.watch.as_deref()) => {
                if let Some(watch) = &annotations.watch {
                    watch.tick();
                }
                continue;
            }
        };
        let Some(report) = report else {
            let of_senders = senders.map_or(0, |senders| senders.dropped());
            let lost = ends.dropped() + notices.dropped() + of_senders;
            if lost > 0 {
                say(&format!("{lost} reports of connections found no room and are not counted"));
            }
            return;
        };
        if let Some(watch) = &annotations.watch {
            watch.end(&report);
        }
        let mut summary = annotations.summary.lock().unwrap_or_else(PoisonError::into_inner);
        if annotations.leaks.is_published(report.remote.port()) {
            summary.add_published_report(&report);
        } else {
            summary.add_report(&report);
        }
    }
}

/// Until the lens has something to do, or may have by then.
async fn due(watch: Option<&Watch>) {
    /// A connection that ended is drawn within about this time of its settling.
    const PAUSE: Duration = Duration::from_millis(50);
    match watch {
        Some(_) => tokio::time::sleep(PAUSE).await,
        None => std::future::pending().await,
    }
}
