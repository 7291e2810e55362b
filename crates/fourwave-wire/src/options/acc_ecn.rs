//! The AccECN option (RFC 9768 §3.2.3): how many bytes arrived under each codepoint.

use alloc::vec::Vec;

use super::kind;
use crate::ip::ecn;

/// The most counters of an option.
const MOST: usize = 3;
/// Bytes of a counter on the wire.
const FIELD: usize = 3;

/// In which order the counters stand: the kind of the option tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccEcnOrder {
    /// Kind 172: ECT(0), CE, ECT(1).
    Zero,
    /// Kind 174: ECT(1), CE, ECT(0).
    One,
}

impl AccEcnOrder {
    /// The codepoints, in order.
    pub const fn codepoints(self) -> [u8; MOST] {
        match self {
            Self::Zero => [ecn::ECT_0, ecn::CE, ecn::ECT_1],
            Self::One => [ecn::ECT_1, ecn::CE, ecn::ECT_0],
        }
    }
}

/// Up to three counters of payload bytes, of each the 24 lowest bits. Those behind the last one
/// that has changed may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccEcn {
    order: AccEcnOrder,
    len: u8,
    fields: [[u8; FIELD]; MOST],
}

impl AccEcn {
    /// The first counters of an order, of which the 24 lowest bits count; a fourth one is left out.
    pub fn new(order: AccEcnOrder, counters: &[u32]) -> Self {
        let mut option = Self { order, len: 0, fields: [[0; FIELD]; MOST] };
        for (field, counter) in option.fields.iter_mut().zip(counters) {
            let [_, high, middle, low] = counter.to_be_bytes();
            *field = [high, middle, low];
            option.len += 1;
        }
        option
    }

    /// Reads what stands behind kind and length: the whole counters that it has room for, and what
    /// is left over is padding (RFC 9768 §3.2.3).
    pub(super) fn read(order: AccEcnOrder, body: &[u8]) -> Self {
        let mut option = Self { order, len: 0, fields: [[0; FIELD]; MOST] };
        for (field, bytes) in option.fields.iter_mut().zip(body.as_chunks::<FIELD>().0) {
            *field = *bytes;
            option.len += 1;
        }
        option
    }

    /// The order of its counters.
    pub fn order(&self) -> AccEcnOrder {
        self.order
    }

    /// Whether it says nothing but that it came through.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its counters with their codepoints (those of [`ecn`]), 24 bits each.
    pub fn counters(&self) -> impl Iterator<Item = (u8, u32)> {
        let value = |[high, middle, low]: [u8; FIELD]| u32::from_be_bytes([0, high, middle, low]);
        let values = self.fields.map(value);
        self.order.codepoints().into_iter().zip(values).take(usize::from(self.len))
    }

    fn len(&self) -> usize {
        2 + FIELD * usize::from(self.len)
    }

    /// Bytes of the option, padding to whole words included.
    pub fn emitted_len(&self) -> usize {
        self.len().next_multiple_of(4)
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = match self.order {
            AccEcnOrder::Zero => kind::ACC_ECN_0,
            AccEcnOrder::One => kind::ACC_ECN_1,
        };
        out.extend_from_slice(&[kind, self.len() as u8]);
        for field in &self.fields[..usize::from(self.len)] {
            out.extend_from_slice(field);
        }
        out.resize(start + self.emitted_len(), kind::NOP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TcpOptions;

    fn read(bytes: &[u8]) -> Vec<(u8, u32)> {
        TcpOptions::parse(bytes).unwrap().acc_ecn.unwrap().counters().collect()
    }

    #[test]
    fn rfc9768_3_2_3_the_kind_tells_the_order() {
        let written = |order| {
            let mut bytes = Vec::new();
            AccEcn::new(order, &[1, 0x01_0203, 0xff_0004]).emit(&mut bytes);
            bytes
        };
        let body = [11, 0, 0, 1, 1, 2, 3, 0xff, 0, 4, 1];
        let (zero, one) = (written(AccEcnOrder::Zero), written(AccEcnOrder::One));
        assert_eq!((zero[0], one[0]), (172, 174));
        assert!(zero[1..] == body && one[1..] == body);
        assert_eq!(read(&zero), [(ecn::ECT_0, 1), (ecn::CE, 0x01_0203), (ecn::ECT_1, 0xff_0004)]);
        assert_eq!(read(&one), [(ecn::ECT_1, 1), (ecn::CE, 0x01_0203), (ecn::ECT_0, 0xff_0004)]);
    }

    #[test]
    fn rfc9768_3_2_3_of_any_length_the_whole_fields_count() {
        let bytes = [9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6];
        for len in 0..=bytes.len() {
            let mut option = alloc::vec![kind::ACC_ECN_1, 2 + len as u8];
            option.extend_from_slice(&bytes[..len]);
            let values: Vec<u32> = read(&option).into_iter().map(|(_, value)| value).collect();
            let whole = [0x09_0909, 0x08_0808, 0x07_0707];
            assert_eq!(values, whole[..(len / 3).min(3)], "{len}");
        }
    }

    #[test]
    fn counters_are_cut_to_24_bits_and_options_to_whole_words() {
        for (counters, len) in [(0, 4), (1, 8), (2, 8), (3, 12), (4, 12)] {
            let option = AccEcn::new(AccEcnOrder::Zero, &[0x1234_5678, 2, 3, 4][..counters]);
            let mut bytes = Vec::new();
            option.emit(&mut bytes);
            assert_eq!((bytes.len(), option.emitted_len()), (len, len));
            assert_eq!(option.is_empty(), counters == 0);
            assert!(option.counters().next().is_none_or(|first| first == (ecn::ECT_0, 0x34_5678)));
        }
    }
}
