//! TCP options between `<` and `>`.

use winnow::combinator::{alt, opt, preceded, repeat, separated};
use winnow::prelude::*;
use winnow::stream::Stream;

use super::input::{
    In, Res, keyword, missing, number, number_u8, number_u16, number_u32, peek, punct, range,
    refuse, span_here, take, word,
};
use crate::ast::{Cookie, OptionSpec, OptionsSpec};
use crate::lex::script::Kind;

/// Kinds that have no name of their own in the tree (RFC 9768, RFC 6994).
const ACC_ECN_0: u8 = 172;
const ACC_ECN_1: u8 = 174;
const EXPERIMENT: u8 = 254;

const NAMES: &str = "a TCP option (mss, nop, sackOK, wscale, TS, sack, FO, FOEXP, md5, ECN, eol)";

/// `<a,b>`, `<...>` or nothing.
pub(super) fn options(i: &mut In<'_>) -> Res<OptionsSpec> {
    if opt(punct('<')).parse_next(i)?.is_none() {
        return Ok(OptionsSpec::None);
    }
    let list = match peek(i) {
        Some(Kind::Ellipsis) => {
            i.input.next_token();
            OptionsSpec::Any
        }
        Some(Kind::Punct('>')) => OptionsSpec::List(Vec::new()),
        _ => OptionsSpec::List(separated(1.., option, punct(',')).parse_next(i)?),
    };
    punct('>').parse_next(i)?;
    Ok(list)
}

fn option(i: &mut In<'_>) -> Res<OptionSpec> {
    let name = name(i)?;
    match name.as_str() {
        "nop" => Ok(OptionSpec::Nop),
        "eol" => Ok(OptionSpec::Eol),
        "mss" => Ok(OptionSpec::Mss(number_u16("a segment size").parse_next(i)?)),
        "wscale" => Ok(OptionSpec::WindowScale(number_u8("a shift").parse_next(i)?)),
        "sackOK" => Ok(OptionSpec::SackPermitted),
        "sack" => Ok(OptionSpec::Sack(repeat(1.., range).parse_next(i)?)),
        "TS" => timestamps(i),
        "FO" => Ok(OptionSpec::FastOpen(cookie(i)?)),
        "FOEXP" | "exp-FO" => Ok(OptionSpec::FastOpenExperimental(cookie(i)?)),
        "md5" => md5(i),
        "ECN" => Ok(OptionSpec::AccEcn(repeat(0.., counter).parse_next(i)?)),
        "AccECN0" | "AccECN1" => acc_ecn(i, name == "AccECN0"),
        "exp-AccECN0" => experimental_acc_ecn(i, 0xacc0),
        "exp-AccECN1" => experimental_acc_ecn(i, 0xacc1),
        "exp-tarr" => tarr(i),
        _ => raw(i),
    }
}

/// The option's name, which may be `exp-` and a word.
fn name(i: &mut In<'_>) -> Res<String> {
    const KNOWN: [&str; 14] = [
        "nop", "eol", "mss", "wscale", "sackOK", "sack", "TS", "FO", "FOEXP", "md5", "ECN",
        "AccECN0", "AccECN1", "kind",
    ];
    match peek(i) {
        Some(Kind::Word("exp")) => {
            i.input.next_token();
            take("`-`", |kind| (kind == Kind::Punct('-')).then_some(())).parse_next(i)?;
            let name = take("`FO`, `AccECN0`, `AccECN1` or `tarr`", |kind| match kind {
                Kind::Word(name @ ("FO" | "AccECN0" | "AccECN1" | "tarr")) => Some(name),
                _ => None,
            })
            .parse_next(i)?;
            Ok(format!("exp-{name}"))
        }
        Some(Kind::Word(name)) if KNOWN.contains(&name) => {
            i.input.next_token();
            Ok(name.to_owned())
        }
        _ => missing(i, NAMES),
    }
}

/// `TS val 100 ecr 0`, `TS val ... ecr 100!`.
fn timestamps(i: &mut In<'_>) -> Res<OptionSpec> {
    let value = || {
        let ellipsis = take("`...`", |kind| (kind == Kind::Ellipsis).then_some(None));
        alt((ellipsis, number_u32("a timestamp").map(Some)))
    };
    let val = preceded(keyword("val", "`val`"), value()).parse_next(i)?;
    let ecr = preceded(keyword("ecr", "`ecr`"), value()).parse_next(i)?;
    let absolute = ecr.is_some() && opt(punct('!')).parse_next(i)?.is_some();
    Ok(OptionSpec::Timestamps { val, ecr, absolute })
}

/// Nothing, hexadecimal digits in pairs, or a name.
fn cookie(i: &mut In<'_>) -> Res<Cookie> {
    let span = span_here(i);
    let text = match peek(i) {
        Some(Kind::Word(text) | Kind::Int(text)) => text,
        _ => {
            let _: Option<&str> = opt(word("a cookie")).parse_next(i)?;
            return Ok(Cookie::Request);
        }
    };
    i.input.next_token();
    match hex(text) {
        Some(bytes) => Ok(Cookie::Bytes(bytes)),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => {
            refuse(i, span, "a cookie of hexadecimal digits in pairs")
        }
        None => Ok(Cookie::Name(text.to_owned())),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match std::str::from_utf8(pair) {
            Ok(digits) if pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit) => {
                u8::from_str_radix(digits, 16).ok()
            }
            _ => None,
        })
        .collect()
}

fn md5(i: &mut In<'_>) -> Res<OptionSpec> {
    let span = span_here(i);
    let text = match peek(i) {
        Some(Kind::Word(text) | Kind::Int(text)) => text,
        _ => {
            let _: Option<&str> = opt(word("a digest")).parse_next(i)?;
            return Ok(OptionSpec::Md5(None));
        }
    };
    i.input.next_token();
    if text == "valid" {
        return Ok(OptionSpec::Md5(None));
    }
    match hex(text).map(<[u8; 16]>::try_from) {
        Some(Ok(digest)) => Ok(OptionSpec::Md5(Some(digest))),
        _ => refuse(i, span, "a digest of 32 hexadecimal digits, or `valid`"),
    }
}

/// `e1b 1`: a counter of 24 bits.
fn counter(i: &mut In<'_>) -> Res<(String, u32)> {
    let name = take("`e0b`, `ceb` or `e1b`", |kind| match kind {
        Kind::Word(name @ ("e0b" | "ceb" | "e1b")) => Some(name),
        _ => None,
    });
    let (name, value) = (name, number("a counter", 0xff_ffff)).parse_next(i)?;
    Ok((name.to_owned(), value))
}

/// nplab's counters, `ee0b 1 eceb 0 ee1b 1`, in this order or (option 1) the reverse.
fn counters(i: &mut In<'_>, zero_first: bool) -> Res<Vec<(String, u32)>> {
    let order = if zero_first { ["e0b", "ceb", "e1b"] } else { ["e1b", "ceb", "e0b"] };
    let mut counters = Vec::new();
    for name in order {
        let counter = take("the next counter (of ee0b, eceb, ee1b)", |kind| match kind {
            Kind::Word(word) => {
                let word = word.to_ascii_lowercase();
                (word == name || word.strip_prefix('e') == Some(name)).then_some(())
            }
            _ => None,
        });
        let Some(value) = opt(preceded(counter, number("a counter", 0xff_ffff))).parse_next(i)?
        else {
            break;
        };
        counters.push((name.to_owned(), value));
    }
    Ok(counters)
}

fn acc_ecn(i: &mut In<'_>, zero_first: bool) -> Res<OptionSpec> {
    let counters = counters(i, zero_first)?;
    let kind = if zero_first { ACC_ECN_0 } else { ACC_ECN_1 };
    Ok(match counters.is_empty() {
        // Without a counter only the kind tells the order.
        true => OptionSpec::Raw { kind, length: Some(2), bytes: Vec::new() },
        false => OptionSpec::AccEcn(counters),
    })
}

fn experimental_acc_ecn(i: &mut In<'_>, magic: u16) -> Res<OptionSpec> {
    let counters = counters(i, magic == 0xacc0)?;
    let values = counters.iter().flat_map(|&(_, value)| value.to_be_bytes().into_iter().skip(1));
    Ok(experiment(magic, values))
}

/// nplab's experimental ACK rate request: eleven bits, at the upper end of 16.
fn tarr(i: &mut In<'_>) -> Res<OptionSpec> {
    let rate: Option<u16> = opt(number("a rate", 0x7ff)).parse_next(i)?;
    let bytes = rate.map(|rate| (rate << 5).to_be_bytes());
    Ok(experiment(0x00ac, bytes.into_iter().flatten()))
}

fn experiment(magic: u16, rest: impl Iterator<Item = u8>) -> OptionSpec {
    let bytes: Vec<u8> = magic.to_be_bytes().into_iter().chain(rest).collect();
    let length = u8::try_from(bytes.len() + 2).ok();
    OptionSpec::Raw { kind: EXPERIMENT, length, bytes }
}

/// Our own: `kind 30`, `kind 30 len 4 abcd`. The length byte is what it says, right or wrong.
fn raw(i: &mut In<'_>) -> Res<OptionSpec> {
    let kind = number_u8("an option's number").parse_next(i)?;
    let length = opt(preceded(keyword("len", "`len`"), number_u8("a length"))).parse_next(i)?;
    let digits = opt(take("hexadecimal digits in pairs", |kind| match kind {
        Kind::Word(text) | Kind::Int(text) => hex(text),
        _ => None,
    }));
    let bytes = { digits }.parse_next(i)?.unwrap_or_default();
    Ok(OptionSpec::Raw { kind, length, bytes })
}
