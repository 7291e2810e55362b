/// The 16 bits of a header's window field, before any scaling (RFC 7323 §2.2).
///
/// It is another type than a window in bytes, so that a forgotten shift does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RawWindow(pub u16);

/// A window-scale shift count, 0 to 14 (RFC 7323 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The largest shift that RFC 7323 allows.
    pub const MAX: u8 = 14;

    /// A shift; values above 14 are taken as 14 (RFC 7323 §2.3).
    pub const fn new(shift: u8) -> Self {
        Self(if shift > Self::MAX { Self::MAX } else { shift })
    }

    /// The smallest shift with which `bytes` fits into the 16 bits of a header.
    pub const fn for_window(bytes: u32) -> Self {
        let mut shift = 0;
        while shift < Self::MAX && (bytes >> shift) > u16::MAX as u32 {
            shift += 1;
        }
        Self(shift)
    }

    /// The shift count.
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// What the peer's header field means in bytes.
    pub const fn to_bytes(self, raw: RawWindow) -> u32 {
        (raw.0 as u32) << self.0
    }

    /// The header field for a window of `bytes`, rounded down; what does not fit saturates.
    pub const fn to_raw(self, bytes: u32) -> RawWindow {
        let scaled = bytes >> self.0;
        RawWindow(if scaled > u16::MAX as u32 { u16::MAX } else { scaled as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7323_2_3_shift_is_limited_to_14() {
        assert_eq!(WindowScale::new(20).shift(), 14);
        assert_eq!(WindowScale::for_window(65_535).shift(), 0);
        assert_eq!(WindowScale::for_window(65_536).shift(), 1);
        assert_eq!(WindowScale::for_window(6_291_456).shift(), 7);
        assert_eq!(WindowScale::for_window(u32::MAX).shift(), 14);
    }

    #[test]
    fn scaling_rounds_down_and_saturates() {
        let scale = WindowScale::new(7);
        assert_eq!(scale.to_raw(1_000).0, 7);
        assert_eq!(scale.to_bytes(RawWindow(7)), 896);
        assert_eq!(WindowScale::new(0).to_raw(1 << 20).0, u16::MAX);
    }
}
