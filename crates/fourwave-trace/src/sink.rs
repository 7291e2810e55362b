//! The trait of an output: it takes records, and the overview at the end.

use std::io;

use fourwave_lens::{ConnectionRecord, Event};

use crate::overview::Overview;

/// Takes the records of a capture, one after another, and the overview at the end.
pub trait Sink {
    /// A connection's record; they come in the order in which they end.
    ///
    /// # Errors
    /// What is written cannot be written.
    fn record(&mut self, record: &ConnectionRecord, numbering: &Numbering) -> io::Result<()>;

    /// Something happened to a connection that goes on; only where the analysis was told to
    /// follow.
    ///
    /// # Errors
    /// What is written cannot be written.
    fn event(&mut self, _event: &Event, _numbering: &Numbering) -> io::Result<()> {
        Ok(())
    }

    /// The capture is at its end.
    ///
    /// # Errors
    /// What is written cannot be written.
    fn finish(&mut self, overview: &Overview, numbering: &Numbering) -> io::Result<()>;
}

/// Which file a packet stands in. The lens counts packets through all files; people and
/// Wireshark count them in each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Each file's name and the running number of the packet before its first.
    files: Vec<(String, u64)>,
}

impl Numbering {
    /// A further file begins behind the running number `before`.
    pub fn begin(&mut self, name: &str, before: u64) {
        self.files.push((name.to_owned(), before));
    }

    /// The index of the file that the packet with this running number stands in, and its number
    /// there, from 1.
    pub fn locate(&self, running: u64) -> (usize, u64) {
        let after = self.files.partition_point(|(_, before)| *before < running);
        let index = after.saturating_sub(1);
        (index, running - self.files.get(index).map_or(0, |(_, before)| *before))
    }

    /// The files' names, in the order in which they were read.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// The packet as people write it: `#12`, and with several files `#12 of b.pcap`.
    pub fn text(&self, running: u64) -> String {
        let (index, number) = self.locate(running);
        match self.files.get(index) {
            Some((name, _)) if self.files.len() > 1 => format!("#{number} of {name}"),
            _ => format!("#{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_number_in_its_file() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.text(7), "#7");
        numbering.begin("a.pcap", 0);
        assert_eq!(numbering.text(7), "#7");
        numbering.begin("b.pcap", 10);
        assert_eq!(numbering.text(10), "#10 of a.pcap");
        assert_eq!(numbering.text(11), "#1 of b.pcap");
        assert_eq!(numbering.locate(12), (1, 2));
    }
}
