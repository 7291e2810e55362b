//! How fast a capture can be read: `read FILE...` prints packets and megabytes a second.
//!
//! `read --make FILE PACKETS SIZE [ng]` makes a file first: Ethernet, IPv4, TCP.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use fourwave_capture::Reader;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--make", path, packets, size] => make(path, packets.parse()?, size.parse()?, false),
        ["--make", path, packets, size, "ng"] => make(path, packets.parse()?, size.parse()?, true),
        [] => Err("usage: read FILE...".into()),
        _ => args.iter().try_for_each(|path| measure(path)),
    }
}

fn measure(path: &str) -> Result<(), Failure> {
    let began = Instant::now();
    let mut reader = Reader::open(Path::new(path))?;
    let mut ip = 0;
    while let Some(packet) = reader.next() {
        ip += u64::from(packet.ip.is_some());
    }
    let seconds = began.elapsed().as_secs_f64();
    let tally = reader.tally();
    println!(
        "{path}: {} frames ({ip} IP), {} bytes in {seconds:.3} s: {:.2} M packets/s, {:.0} MB/s{}",
        tally.frames,
        tally.bytes,
        tally.frames as f64 / seconds / 1e6,
        tally.bytes as f64 / seconds / 1e6,
        reader.damaged().map(|why| format!("; {why}")).unwrap_or_default(),
    );
    Ok(())
}

fn make(path: &str, packets: u32, size: u16, ng: bool) -> Result<(), Failure> {
    let mut frame = vec![0_u8; usize::from(size) + 14];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..18].copy_from_slice(&[0x45, 0, (size >> 8) as u8, size as u8]);
    frame[23] = 6;
    frame[46] = 0x50;
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let time = |number: u32| Duration::from_micros(1_700_000_000_000_000 + u64::from(number));
    let len = u32::try_from(frame.len())?;
    if ng {
        let mut writer = PcapNgWriter::new(&mut out)?;
        writer.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0))?;
        for number in 0..packets {
            writer.write_pcapng_block(EnhancedPacketBlock {
                interface_id: 0,
                timestamp: time(number),
                original_len: len,
                data: frame.as_slice().into(),
                options: Vec::new(),
            })?;
        }
    } else {
        let mut writer = PcapWriter::new(&mut out)?;
        for number in 0..packets {
            writer.write_packet(&PcapPacket::new(time(number), len, frame.as_slice())?)?;
        }
    }
    Ok(out.flush()?)
}
