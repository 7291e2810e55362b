//! What is drawn and written of the program's connections: device → lens → ladder, events, pcapng.
//!
//! Without any output no tap is put on the device; the summary is made of the engine's reports.

mod tap;
mod teller;

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fourwave::{Config, Device, EndReport, Stack, StackOptions};
use fourwave_device::fault::FaultSpec;
use fourwave_device::tap::Tapped;
use fourwave_lens::Names;
use fourwave_lens::summary::{Summary, Unopened};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::addresses::{PROGRAM_V4, PROGRAM_V6};
use crate::faults::{self, Faults};
use tap::Watch;
use teller::Teller;

/// What to draw and write, each already opened and empty. The default is nothing.
#[derive(Default)]
pub struct LensOptions {
    /// Where the ladder of each connection is drawn.
    pub ladder: Option<Box<dyn Write + Send>>,
    /// The ladder goes to a terminal: its width and colours are used, unless `NO_COLOR` is set.
    pub terminal: bool,
    /// Draw it while the connection lives.
    pub follow: bool,
    /// Where each event is written as a line of JSON.
    pub events: Option<File>,
    /// Where the packets are written as pcapng.
    pub pcap: Option<File>,
}

impl LensOptions {
    fn is_nothing(&self) -> bool {
        self.ladder.is_none() && self.events.is_none() && self.pcap.is_none()
    }
}

/// Watches a stack and its device.
pub(crate) struct Observer {
    watch: Option<Arc<Watch>>,
    teller: Option<Teller>,
    summary: Arc<Mutex<Summary>>,
    gathering: JoinHandle<()>,
    faults: Option<Faults>,
}

/// Says beside the packets why something happens to a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remarks {
    watch: Option<Arc<Watch>>,
    summary: Arc<Mutex<Summary>>,
}

impl Remarks {
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

    /// A call of the program that the gateway refused, which the engine does not report.
    pub(crate) fn unopened(&self, why: Unopened) {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).add_unopened(why);
    }
}

impl Observer {
    /// Puts a stack on `device`, behind `faults`, and watches it. `published` are the ports on
    /// which the program is called.
    ///
    /// # Errors
    /// The device's, or the first bytes of an output cannot be written.
    pub(crate) fn start(
        device: impl Device + 'static,
        stack: StackOptions,
        lens: LensOptions,
        published: Vec<u16>,
        faults: Vec<FaultSpec>,
    ) -> io::Result<(Stack, Self)> {
        let summary = Arc::new(Mutex::new(Summary::new()));
        let options = lens_options(&stack.config, &lens);
        let (stack, faults, watch, teller) = if lens.is_nothing() {
            let (stack, faults) = faults::spawn(device, stack, faults, |_, _| {})?;
            (stack, faults, None, None)
        } else {
            let names = Names::gateway(&[PROGRAM_V4.into(), PROGRAM_V6.into()]);
            let LensOptions { ladder, terminal, follow, events, pcap } = lens;
            let teller = Teller::start(ladder, terminal, follow, events, names.clone())?;
            let origin = Instant::now();
            let watch = Arc::new(Watch::new(options, names, pcap, teller.sender(), origin)?);
            let tapped = Tapped::with_origin(device, Arc::clone(&watch), origin);
            let noting = Arc::clone(&watch);
            let note = move |ends, text: &str| noting.note(ends, text);
            let (stack, faults) = faults::spawn(tapped, stack, faults, note)?;
            // The engine's clock started a little after ours.
            let engine = Duration::from_micros(stack.now().as_micros());
            watch.set_engine_epoch(origin.elapsed().saturating_sub(engine));
            (stack, faults, Some(watch), Some(teller))
        };
        let gathering =
            tokio::spawn(gather(stack.take_ends(), watch.clone(), Arc::clone(&summary), published));
        Ok((stack, Self { watch, teller, summary, gathering, faults }))
    }

    /// For those who know more than the packets say.
    pub(crate) fn remarks(&self) -> Remarks {
        Remarks { watch: self.watch.clone(), summary: Arc::clone(&self.summary) }
    }

    /// The faults, where there are any.
    pub(crate) fn faults(&self) -> Option<Faults> {
        self.faults.clone()
    }

    /// The stack has stopped: completes all outputs. What could not be written is told on stderr.
    pub(crate) async fn finish(self) -> Summary {
        // The task ends with the stack; it fails only by a panic of its own.
        let _ = self.gathering.await;
        if let Some(watch) = &self.watch {
            watch.finish();
        }
        if let Some(teller) = self.teller {
            teller.finish().await;
        }
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn lens_options(config: &Config, lens: &LensOptions) -> fourwave_lens::LensOptions {
    fourwave_lens::LensOptions {
        time_wait: Duration::from_secs(config.tcp_timewait_len),
        rfc1337: config.tcp_rfc1337 == 1,
        live: lens.follow || lens.events.is_some(),
        ..fourwave_lens::LensOptions::default()
    }
}

/// Takes the engine's reports until the stack stops, and gives the lens its time.
async fn gather(
    ends: Option<UnboundedReceiver<EndReport>>,
    watch: Option<Arc<Watch>>,
    summary: Arc<Mutex<Summary>>,
    published: Vec<u16>,
) {
    let Some(mut ends) = ends else { return };
    loop {
        let report = tokio::select! {
            report = ends.recv() => report,
            () = due(watch.as_deref()) => {
                if let Some(watch) = &watch {
                    watch.tick();
                }
                continue;
            }
        };
        let Some(report) = report else { return };
        if let Some(watch) = &watch {
            watch.end(&report);
        }
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        if published.contains(&report.remote.port()) {
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
