//! The tap's end: packets into the lens and the capture, the lens's events to the event writer.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fourwave::{EndReport, SenderReport, TcpInfo};
use fourwave_capture::{PacketId, PcapngOptions, PcapngWriter};
use fourwave_device::tap::{Direction, Observer, PacketView};
use fourwave_lens::{Event, Lens, Names, Seen, Sender, Warning, comment};

use crate::notice::say;

/// How long a packet that ended its connection waits for the engine's word on it.
const COMMENT_PATIENCE: Duration = Duration::from_millis(20);
/// How many later packets may pass meanwhile: fewer than the capture holds back.
const COMMENT_PACKETS: u64 = 128;

/// Shared by the tap and those who know more than packets say.
pub(crate) struct Watch {
    state: Mutex<State>,
    origin: Instant,
}

struct State {
    lens: Lens,
    names: Names,
    pcap: Option<PcapngWriter>,
    /// The last packet of the capture.
    newest: Option<PacketId>,
    /// Packets that ended their connection and have no comment yet.
    uncommented: VecDeque<(PacketId, Seen, Duration)>,
    event_writer: Option<SyncSender<Event>>,
    /// Start of the engine's clock on ours.
    engine_epoch: Duration,
}

impl Watch {
    /// # Errors
    /// The capture's first bytes cannot be written.
    pub(super) fn new(
        options: fourwave_lens::LensOptions,
        names: Names,
        pcap: Option<File>,
        event_writer: SyncSender<Event>,
        origin: Instant,
    ) -> io::Result<Self> {
        let pcap = pcap
            .map(|file| PcapngWriter::to_stream(Box::new(file), "file", PcapngOptions::default()));
        let state = State {
            lens: Lens::new(options),
            names,
            pcap: pcap.transpose().map_err(io::Error::other)?,
            newest: None,
            uncommented: VecDeque::new(),
            event_writer: Some(event_writer),
            engine_epoch: Duration::ZERO,
        };
        Ok(Self { state: Mutex::new(state), origin })
    }

    pub(super) fn set_engine_epoch(&self, epoch: Duration) {
        self.lock().engine_epoch = epoch;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine's word on a connection's end.
    pub(super) fn end(&self, report: &EndReport) {
        let mut state = self.lock();
        let shift = state.engine_epoch;
        let mut report = report.clone();
        report.opened = report.opened + shift;
        report.ended = report.ended + shift;
        report.time_wait_until = report.time_wait_until.map(|until| until + shift);
        state.lens.end(&report);
        state.tell();
    }

    pub(super) fn note(&self, ends: (SocketAddr, SocketAddr), text: &str) {
        let mut state = self.lock();
        // Timed under the lock, so that rows stay in order.
        let at = self.origin.elapsed();
        state.lens.note(at, ends, text);
        state.tell();
    }

    /// Something is wrong with `ends.0`; `what` gets the start of the engine's clock on ours.
    pub(super) fn warning(
        &self,
        ends: (SocketAddr, SocketAddr),
        what: impl FnOnce(Duration) -> Warning,
    ) {
        let mut state = self.lock();
        let at = self.origin.elapsed();
        let what = what(state.engine_epoch);
        state.lens.warning(at, ends, what);
        state.tell();
    }

    /// What the engine says of a sender.
    pub(super) fn sender(&self, report: &SenderReport) {
        let mut state = self.lock();
        let at = Duration::from_micros((report.at + state.engine_epoch).as_micros());
        let (ends, sender) = ((report.local, report.remote), sender(&report.info));
        state.lens.sender(at, ends, sender);
        let State { pcap, newest, .. } = &mut *state;
        if let (Some(pcap), Some(newest)) = (pcap, *newest) {
            // The packet is seldom the one that moved it, but of the same moment.
            pcap.comment(newest, &comment::sender(ends, &sender));
        }
        state.tell();
    }

    pub(super) fn tick(&self) {
        let mut state = self.lock();
        let now = self.origin.elapsed();
        state.lens.tick(now);
        state.comment(|_, at| at + COMMENT_PATIENCE <= now);
        state.tell();
    }

    /// No packet comes any more: tells what is left and completes the capture.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.comment(|_, _| true);
        state.lens.finish(self.origin.elapsed());
        state.tell();
        state.event_writer = None;
        match state.pcap.take().map(PcapngWriter::finish) {
            Some(Err(error)) if !error.is_closed() => say(&error.to_string()),
            _ => {}
        }
    }
}

fn sender(info: &TcpInfo) -> Sender {
    let [unacked, sacked, lost, again] =
        [info.unacked, info.sacked, info.lost, info.retrans].map(u64::from);
    Sender {
        state: info.ca_state.name(),
        congestion: info.congestion,
        cwnd: info.snd_cwnd,
        ssthresh: (info.snd_ssthresh != u64::MAX).then_some(info.snd_ssthresh),
        in_flight: (unacked + again).saturating_sub(sacked + lost),
        lost,
        peer_window: info.snd_wnd.into(),
        rtt: info.rtt,
        rttvar: info.rttvar,
        min_rtt: info.min_rtt,
        rto: info.rto,
        pacing_rate: info.pacing_rate,
        retransmitted: info.total_retrans.into(),
    }
}

impl State {
    /// Comments on the packets that are old enough.
    fn comment(&mut self, is_due: impl Fn(PacketId, Duration) -> bool) {
        let Some(pcap) = &mut self.pcap else { return };
        while let Some((id, seen, at)) = self.uncommented.front() {
            if !is_due(*id, *at) {
                return;
            }
            if let Some(text) = self.lens.comment(seen, &self.names) {
                pcap.comment(*id, &text);
            }
            self.uncommented.pop_front();
        }
    }

    /// Hands events on. A writer that does not keep up slows the packets down: nothing is lost.
    fn tell(&mut self) {
        while let Some(event) = self.lens.poll_event() {
            // It fails only when the writer has given up, which it said.
            if self.event_writer.as_ref().is_some_and(|writer| writer.send(event).is_err()) {
                self.event_writer = None;
            }
        }
    }
}

impl Observer for Watch {
    fn packet(&self, direction: Direction, packet: &PacketView<'_>) {
        let mut state = self.lock();
        let state = &mut *state;
        let seen = state.lens.observe(packet.elapsed, packet.head, packet.len(), packet.gso_size);
        // A failure is kept, and told at the end.
        let id = state.pcap.as_mut().and_then(|pcap| pcap.push(direction, packet).ok());
        if let (Some(id), Some(seen)) = (id, seen.filter(|seen| seen.ended)) {
            state.uncommented.push_back((id, seen, packet.elapsed));
        }
        if let Some(id) = id {
            state.newest = Some(id);
            let newest = id.number();
            state.comment(|id, _| id.number() + COMMENT_PACKETS <= newest);
        }
        state.tell();
    }
}
