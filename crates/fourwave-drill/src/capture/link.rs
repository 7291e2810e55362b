//! From a link's frame to the IP packet in it.

use pcap_file::DataLink;

/// Where the IP packet begins, and whether the capturing host sent it, where the link says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    pub(super) start: usize,
    pub(super) outgoing: Option<bool>,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLANS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// `packet_type` of cooked captures: sent by this host.
const OUTGOING: u16 = 4;

/// Finds the packet; none where the frame carries something else or is cut short.
pub(super) fn packet(link: DataLink, frame: &[u8]) -> Option<Framed> {
    let plain = |start: usize| Framed { start, outgoing: None };
    let framed = match link {
        DataLink::ETHERNET => plain(ethernet(frame)?),
        // 12 and 14 are what some systems write for raw IP.
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 | DataLink::Unknown(12 | 14) => plain(0),
        DataLink::NULL | DataLink::LOOP => plain(4),
        DataLink::LINUX_SLL => {
            ip_type(word(frame, 14)?)?;
            Framed { start: 16, outgoing: Some(word(frame, 0)? == OUTGOING) }
        }
        DataLink::LINUX_SLL2 => {
            ip_type(word(frame, 0)?)?;
            Framed { start: 20, outgoing: Some(u16::from(*frame.get(10)?) == OUTGOING) }
        }
        _ => return None,
    };
    (framed.start < frame.len()).then_some(framed)
}

/// Whether frames of this link can be read at all.
pub(super) fn is_known(link: DataLink) -> bool {
    matches!(
        link,
        DataLink::ETHERNET
            | DataLink::RAW
            | DataLink::IPV4
            | DataLink::IPV6
            | DataLink::NULL
            | DataLink::LOOP
            | DataLink::LINUX_SLL
            | DataLink::LINUX_SLL2
            | DataLink::Unknown(12 | 14)
    )
}

fn ethernet(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    while VLANS.contains(&word(frame, at)?) {
        at += 4;
    }
    ip_type(word(frame, at)?)?;
    Some(at + 2)
}

fn ip_type(kind: u16) -> Option<()> {
    matches!(kind, IPV4 | IPV6).then_some(())
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_to_its_packet() {
        let mut frame = vec![0; 40];
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        let plain = |start| Some(Framed { start, outgoing: None });
        assert_eq!(packet(DataLink::ETHERNET, &frame), plain(14));
        frame[12..20].copy_from_slice(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]);
        frame[20..22].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(packet(DataLink::ETHERNET, &frame), plain(22));
        assert_eq!(packet(DataLink::RAW, &frame), plain(0));
        assert_eq!(packet(DataLink::NULL, &frame), plain(4));

        let mut cooked = vec![0; 40];
        cooked[1] = 4;
        cooked[14..16].copy_from_slice(&[0x08, 0x00]);
        let sent = Some(Framed { start: 16, outgoing: Some(true) });
        assert_eq!(packet(DataLink::LINUX_SLL, &cooked), sent);
        let mut cooked = vec![0; 40];
        cooked[0..2].copy_from_slice(&[0x86, 0xdd]);
        let received = Some(Framed { start: 20, outgoing: Some(false) });
        assert_eq!(packet(DataLink::LINUX_SLL2, &cooked), received);
    }

    #[test]
    fn other_protocols_and_short_frames_are_passed_over() {
        let mut arp = vec![0; 40];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(packet(DataLink::ETHERNET, &arp), None);
        assert_eq!(packet(DataLink::ETHERNET, &[0; 13]), None);
        assert_eq!(packet(DataLink::RAW, &[]), None);
        assert_eq!(packet(DataLink::AX25, &[0x45; 40]), None);
        assert_eq!(packet(DataLink::ETHERNET, &[0x81, 0].repeat(40)), None);
    }
}
