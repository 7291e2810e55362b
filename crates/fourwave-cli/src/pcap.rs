//! Packets of virtual time as a capture file: `--pcap` of `scenario` and `drill`.

use std::path::Path;
use std::time::Duration;

use fourwave_device::pcapng::{PcapngOptions, PcapngWriter};
use fourwave_device::tap::{Direction, PacketView};

/// Virtual time begins at 2002-01-01 00:00:00 UTC, so that no reader takes it for a duration.
const EPOCH: Duration = Duration::from_secs(1_009_843_200);

/// One packet: since the beginning, whether the capturing host sent it, from its IP header on.
pub(crate) type Passed<'a> = (Duration, Direction, &'a [u8]);

/// Writes `packets`, in the order of their times.
///
/// # Errors
/// A line that names the file and says why.
pub(crate) fn write<'a>(
    path: &Path,
    interface: &str,
    packets: impl Iterator<Item = Passed<'a>>,
) -> Result<(), String> {
    let options = PcapngOptions { interface: interface.to_owned(), ..PcapngOptions::default() };
    let mut writer = PcapngWriter::create(path, options).map_err(|error| error.to_string())?;
    for (at, direction, packet) in packets {
        let view = PacketView::whole(packet, EPOCH + at, at);
        writer.push(direction, &view).map_err(|error| error.to_string())?;
    }
    writer.finish().map(|_| ()).map_err(|error| error.to_string())
}
