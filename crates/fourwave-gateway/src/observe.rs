//! What is drawn and written of the program's connections.

use std::fs::File;
use std::io::{self, Write};

use fourwave::{Device, EndReport, Stack, StackOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::summary::Summary;

/// What to draw and write, each already opened and empty. The default is nothing.
#[derive(Default)]
pub struct LensOptions {
    /// Where the ladder of each connection is drawn.
    pub ladder: Option<Box<dyn Write + Send>>,
    /// Draw it while the connection lives.
    pub follow: bool,
    /// Where each event is written as a line of JSON.
    pub events: Option<File>,
    /// Where the packets are written as pcapng.
    pub pcap: Option<File>,
}

/// Gathers how the connections ended.
pub(crate) struct Observer {
    ends: JoinHandle<Summary>,
}

impl Observer {
    /// Puts a stack on `device` and watches it.
    pub(crate) fn start(
        device: impl Device + 'static,
        stack: StackOptions,
        _lens: LensOptions,
    ) -> io::Result<(Stack, Self)> {
        let stack = Stack::spawn(device, stack)?;
        let ends = tokio::spawn(gather(stack.take_ends()));
        Ok((stack, Self { ends }))
    }

    /// The stack has stopped: completes all outputs.
    pub(crate) async fn finish(self, cut: u64) -> Summary {
        // The task ends with the stack; it fails only by a panic of its own.
        let mut summary = self.ends.await.unwrap_or_default();
        summary.cut = cut;
        summary
    }
}

async fn gather(ends: Option<UnboundedReceiver<EndReport>>) -> Summary {
    let mut summary = Summary::default();
    let Some(mut ends) = ends else { return summary };
    while let Some(report) = ends.recv().await {
        summary.add(&report);
    }
    summary
}
