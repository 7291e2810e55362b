use core::fmt;

/// Why bytes from the network are not what they should be.
///
/// Each value names one malformation, so that counters and messages can too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireError {
    /// Fewer bytes than the header needs or says.
    Truncated,
    /// The IP version is neither 4 nor 6.
    BadVersion,
    /// A header length below the minimum or beyond the packet.
    BadHeaderLength,
    /// A length field that contradicts the packet.
    BadLength,
    /// The checksum does not match.
    BadChecksum,
    /// A TCP option with a length of 0 or 1, or one that runs past the header.
    BadOption,
    /// A fragment; whole packets only are taken.
    Fragment,
    /// The packet carries another protocol than the one asked for.
    OtherProtocol,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is cut short",
            Self::BadVersion => "the IP version is neither 4 nor 6",
            Self::BadHeaderLength => "the header length is out of range",
            Self::BadLength => "the length field contradicts the packet",
            Self::BadChecksum => "the checksum is wrong",
            Self::BadOption => "a TCP option has an impossible length",
            Self::Fragment => "the packet is a fragment",
            Self::OtherProtocol => "the packet carries another protocol",
        })
    }
}

impl core::error::Error for WireError {}
