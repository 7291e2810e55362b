//! Packets of virtual time as a capture file: `--pcap` of `scenario` and `drill`.

use std::io;
use std::time::Duration;

use fourwave_capture::{PcapngOptions, PcapngWriter};
use fourwave_device::tap::{Direction, PacketView};

use crate::output::{Output, Target};

/// Virtual time begins at 2002-01-01 00:00:00 UTC, so that no reader takes it for a duration.
const EPOCH: Duration = Duration::from_secs(1_009_843_200);

/// One packet: since the beginning, whether the capturing host sent it, from its IP header on.
pub(crate) type Passed<'a> = (Duration, Direction, &'a [u8]);

/// Writes `packets`, in the order of their times. A reader that stops early is no error.
///
/// # Errors
/// A line that names the file and says why; the file is as before then.
pub(crate) fn write<'a>(
    target: &Target,
    interface: &str,
    packets: impl Iterator<Item = Passed<'a>>,
) -> Result<(), String> {
    let options = PcapngOptions { interface: interface.to_owned(), ..PcapngOptions::default() };
    let output = Output::create(target)?;
    let failed = |error: io::Error| target.unwritable(&error);
    let handle = Box::new(output.handle().map_err(failed)?);
    let write = || {
        let mut writer = PcapngWriter::to_stream(handle, &target.to_string(), options)?;
        for (at, direction, packet) in packets {
            writer.push(direction, &PacketView::whole(packet, EPOCH + at, at))?;
        }
        writer.finish()
    };
    match write() {
        Err(error) if !error.is_closed() => Err(error.to_string()),
        _ => output.finish().map_err(failed),
    }
}
