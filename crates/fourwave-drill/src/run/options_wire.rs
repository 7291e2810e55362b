//! TCP options between a script's words and a header's bytes.

use fourwave_wire::options::{FAST_OPEN_MAGIC, kind};
use fourwave_wire::raw::{RawOption, RawOptions};

use crate::ast::{Cookie, OptionSpec};

/// Where the digest of an MD5 option lies in the options, and whether it is to be computed.
pub(crate) type DigestAt = Option<usize>;

/// The bytes of options whose numbers are live ones already and whose cookies are bytes. An MD5
/// option without a digest gets zeros, and its place is returned.
///
/// # Errors
/// More than 40 bytes, not a multiple of 4, or a value that cannot be written.
pub(crate) fn encode(options: &[OptionSpec]) -> Result<(Vec<u8>, DigestAt), String> {
    let mut out = Vec::new();
    let mut digest = None;
    for option in options {
        if matches!(option, OptionSpec::Md5(None)) {
            digest = Some(out.len() + 2);
        }
        encode_one(option, &mut out)?;
    }
    if out.len() > 40 {
        return Err(format!("TCP options are 40 bytes at most, these are {}", out.len()));
    }
    if out.len() % 4 != 0 {
        return Err(format!(
            "TCP options fill whole words, these are {} bytes: add nop or eol",
            out.len()
        ));
    }
    Ok((out, digest))
}

fn encode_one(option: &OptionSpec, out: &mut Vec<u8>) -> Result<(), String> {
    match option {
        OptionSpec::Nop => RawOption::Nop.emit(out),
        OptionSpec::Eol => RawOption::Eol.emit(out),
        OptionSpec::Mss(mss) => put(out, kind::MSS, &mss.to_be_bytes()),
        OptionSpec::WindowScale(shift) => put(out, kind::WINDOW_SCALE, &[*shift]),
        OptionSpec::SackPermitted => put(out, kind::SACK_PERMITTED, &[]),
        OptionSpec::Sack(blocks) => {
            let edges = blocks.iter().flat_map(|(start, end)| [*start, *end]);
            let bytes: Vec<u8> = edges.flat_map(u32::to_be_bytes).collect();
            put(out, kind::SACK, &bytes);
        }
        OptionSpec::Timestamps { val, ecr, .. } => {
            let words = [val.unwrap_or(0), ecr.unwrap_or(0)];
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
            put(out, kind::TIMESTAMPS, &bytes);
        }
        OptionSpec::FastOpen(cookie) => put(out, kind::FAST_OPEN, cookie_bytes(cookie)?),
        OptionSpec::FastOpenExperimental(cookie) => {
            let bytes = [&FAST_OPEN_MAGIC, cookie_bytes(cookie)?].concat();
            put(out, kind::EXPERIMENT, &bytes);
        }
        OptionSpec::Md5(digest) => put(out, kind::MD5, &digest.unwrap_or_default()),
        OptionSpec::AccEcn(counters) => acc_ecn(counters, out)?,
        OptionSpec::Raw { kind, length, bytes } => {
            RawOption::Malformed { kind: *kind, length: *length, rest: bytes }.emit(out);
        }
    }
    Ok(())
}

fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    RawOption::Option { kind, body }.emit(out);
}

fn cookie_bytes(cookie: &Cookie) -> Result<&[u8], String> {
    match cookie {
        Cookie::Request => Ok(&[]),
        Cookie::Bytes(bytes) => Ok(bytes),
        Cookie::Name(name) => Err(format!("{name} is not defined: give -D {name}=<hex digits>")),
    }
}

/// AccECN (draft-ietf-tcpm-accurate-ecn §3.2.3): the kind tells the order of the counters.
const ORDER_0: [&str; 3] = ["e0b", "ceb", "e1b"];
const ORDER_1: [&str; 3] = ["e1b", "ceb", "e0b"];

fn acc_ecn(counters: &[(String, u32)], out: &mut Vec<u8>) -> Result<(), String> {
    let in_order = |order: [&str; 3]| {
        counters.iter().zip(order).all(|((name, _), wanted)| name == wanted) && counters.len() <= 3
    };
    let kind = if in_order(ORDER_1) && !counters.is_empty() {
        kind::ACC_ECN_1
    } else if in_order(ORDER_0) {
        kind::ACC_ECN_0
    } else {
        return Err("AccECN's counters are e0b, ceb, e1b or e1b, ceb, e0b, in order".to_owned());
    };
    let bytes: Vec<u8> =
        counters.iter().flat_map(|(_, value)| value.to_be_bytes()[1..].to_vec()).collect();
    put(out, kind, &bytes);
    Ok(())
}

/// The options of a header, in order; what is malformed is [`OptionSpec::Raw`].
pub(crate) fn decode(bytes: &[u8]) -> Vec<OptionSpec> {
    let spec = |option| match option {
        RawOption::Nop => OptionSpec::Nop,
        RawOption::Eol => OptionSpec::Eol,
        RawOption::Option { kind, body } => decode_one(kind, body),
        RawOption::Malformed { kind, length, rest } => {
            OptionSpec::Raw { kind, length, bytes: rest.to_vec() }
        }
    };
    RawOptions::new(bytes).map(spec).collect()
}

fn decode_one(kind: u8, body: &[u8]) -> OptionSpec {
    let word = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let cookie = |bytes: &[u8]| match bytes {
        [] => Cookie::Request,
        _ => Cookie::Bytes(bytes.to_vec()),
    };
    match (kind, body.len()) {
        (kind::MSS, 2) => OptionSpec::Mss(u16::from_be_bytes([body[0], body[1]])),
        (kind::WINDOW_SCALE, 1) => OptionSpec::WindowScale(body[0]),
        (kind::SACK_PERMITTED, 0) => OptionSpec::SackPermitted,
        (kind::SACK, len) if len > 0 && len % 8 == 0 => {
            OptionSpec::Sack((0..len).step_by(8).map(|at| (word(at), word(at + 4))).collect())
        }
        (kind::TIMESTAMPS, 8) => {
            OptionSpec::Timestamps { val: Some(word(0)), ecr: Some(word(4)), absolute: false }
        }
        (kind::MD5, 16) => {
            let mut digest = [0; 16];
            digest.copy_from_slice(body);
            OptionSpec::Md5(Some(digest))
        }
        (kind::FAST_OPEN, _) => OptionSpec::FastOpen(cookie(body)),
        (kind::EXPERIMENT, len) if len >= 2 && body[..2] == FAST_OPEN_MAGIC => {
            OptionSpec::FastOpenExperimental(cookie(&body[2..]))
        }
        (kind::ACC_ECN_0 | kind::ACC_ECN_1, 0 | 3 | 6 | 9) => {
            let order = if kind == kind::ACC_ECN_0 { ORDER_0 } else { ORDER_1 };
            let value = |part: &[u8]| u32::from_be_bytes([0, part[0], part[1], part[2]]);
            let values = body.chunks_exact(3).map(value);
            let named = order.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value));
            OptionSpec::AccEcn(named.collect())
        }
        _ => OptionSpec::Raw { kind, length: Some(2 + body.len() as u8), bytes: body.to_vec() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let lists = [
            vec![
                OptionSpec::Mss(1460),
                OptionSpec::SackPermitted,
                OptionSpec::Timestamps { val: Some(1), ecr: Some(2), absolute: false },
                OptionSpec::Nop,
                OptionSpec::WindowScale(8),
            ],
            vec![OptionSpec::Nop, OptionSpec::Nop, OptionSpec::Sack(vec![(1, 2), (5, 6)])],
            vec![
                OptionSpec::FastOpen(Cookie::Request),
                OptionSpec::FastOpen(Cookie::Bytes(vec![1, 2, 3, 4, 5, 6, 7, 8])),
                OptionSpec::FastOpenExperimental(Cookie::Bytes(vec![9; 8])),
            ],
            vec![
                OptionSpec::AccEcn(vec![("e1b".into(), 1), ("ceb".into(), 0), ("e0b".into(), 9)]),
                OptionSpec::Nop,
            ],
            vec![OptionSpec::Md5(Some([7; 16])), OptionSpec::Eol, OptionSpec::Eol],
            vec![OptionSpec::Raw { kind: 99, length: Some(4), bytes: vec![1, 2] }],
        ];
        for list in lists {
            let (bytes, digest) = encode(&list).unwrap();
            assert_eq!(decode(&bytes), list);
            assert_eq!(digest, None);
        }
    }

    #[test]
    fn lists_that_fit_no_header_are_refused() {
        assert!(encode(&[OptionSpec::Nop]).unwrap_err().contains("add nop"));
        assert!(encode(&vec![OptionSpec::Nop; 44]).unwrap_err().contains("40 bytes"));
        assert!(encode(&[OptionSpec::FastOpen(Cookie::Name("C".into()))]).is_err());
        let odd = OptionSpec::AccEcn(vec![("ceb".into(), 0)]);
        assert!(encode(&[odd, OptionSpec::Nop, OptionSpec::Nop, OptionSpec::Nop]).is_err());
        let (_, digest) =
            encode(&[OptionSpec::Nop, OptionSpec::Nop, OptionSpec::Md5(None)]).unwrap();
        assert_eq!(digest, Some(4));
    }

    #[test]
    fn malformed_options_are_shown_as_they_are() {
        let odd = OptionSpec::Raw { kind: 2, length: Some(9), bytes: vec![1] };
        assert_eq!(decode(&[2, 9, 1]), [odd]);
        let short = OptionSpec::Raw { kind: 2, length: None, bytes: vec![] };
        assert_eq!(decode(&[2]), [short]);
    }
}
