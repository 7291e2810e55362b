//! The grammar, by winnow; errors know their place.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use fourwave_lens::Role;
use winnow::combinator::{alt, cut_err, delimited, eof, opt, preceded, separated};
use winnow::error::{ErrMode, ParserError};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::take_while;

use super::value::{self, QUANTITIES};
use super::{Comparison, Filter, Node, Quantity, Test};

/// Brackets and `not`s within each other.
const DEEPEST: usize = 64;

/// Why an expression is no filter, and where. [`Display`](fmt::Display) gives three lines: the
/// reason, the expression and a line that points at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// The expression.
    pub expression: String,
    /// The bytes of it that are wrong; empty where something is missing.
    pub place: Range<usize>,
    /// One sentence without a full stop.
    pub what: String,
}

impl std::error::Error for FilterError {}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expression, place, what } = self;
        // Line feeds and tabs would put the pointer elsewhere.
        let shown: String =
            expression.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = expression[..place.start].chars().count();
        let marked = expression[place.clone()].chars().count().max(1);
        write!(f, "{what}\n  {shown}\n  {}{}", " ".repeat(before), "^".repeat(marked))
    }
}

/// What went wrong while parsing.
#[derive(Clone, Debug)]
struct Fault {
    place: Range<usize>,
    what: String,
}

type In<'s> = LocatingSlice<&'s str>;
type Res<T> = Result<T, ErrMode<Fault>>;

impl ParserError<In<'_>> for Fault {
    type Inner = Self;

    fn from_input(input: &In<'_>) -> Self {
        let at = input.current_token_start();
        Self { place: at..at, what: String::new() }
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(expression: &str) -> Result<Self, FilterError> {
        let fail = |fault: Fault| FilterError {
            expression: expression.to_owned(),
            place: fault.place,
            what: fault.what,
        };
        if let Some(place) = too_deep(expression) {
            let what = format!("more than {DEEPEST} brackets and `not`s within each other");
            return Err(fail(Fault { place, what }));
        }
        let mut input = LocatingSlice::new(expression);
        let parsed = (any, blank, cut_err(end)).map(|(node, _, ())| node).parse_next(&mut input);
        match parsed {
            Ok(node) => Ok(Self(node)),
            Err(ErrMode::Backtrack(fault) | ErrMode::Cut(fault)) => Err(fail(fault)),
            Err(ErrMode::Incomplete(_)) => {
                let end = expression.len();
                Err(fail(Fault { place: end..end, what: "it breaks off here".to_owned() }))
            }
        }
    }
}

/// Where the nesting gets too deep to be followed; words in values count too, which harms nobody.
fn too_deep(expression: &str) -> Option<Range<usize>> {
    let mut depth = 0_usize;
    for (at, c) in expression.char_indices() {
        match c {
            '(' | '!' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            'n' | 'N'
                if expression[at..].get(..3).is_some_and(|s| s.eq_ignore_ascii_case("not")) =>
            {
                depth += 1;
            }
            _ => {}
        }
        if depth > DEEPEST {
            return Some(at..at + c.len_utf8());
        }
    }
    None
}

fn fault<T>(place: Range<usize>, what: impl Into<String>) -> Res<T> {
    Err(ErrMode::Cut(Fault { place, what: what.into() }))
}

fn blank(input: &mut In<'_>) -> Res<()> {
    take_while(0.., char::is_whitespace).void().parse_next(input)
}

/// What can be a word: all but blanks, brackets and comparisons.
fn in_word(c: char) -> bool {
    !c.is_whitespace() && !"()<>=!&|".contains(c)
}

fn word<'s>(input: &mut In<'s>) -> Res<(&'s str, Range<usize>)> {
    preceded(blank, take_while(1.., in_word).with_span()).parse_next(input)
}

/// This word and no longer one.
fn keyword(known: &'static str) -> impl FnMut(&mut In<'_>) -> Res<()> {
    move |input| {
        word.verify(|(word, _): &(&str, _)| word.eq_ignore_ascii_case(known))
            .void()
            .parse_next(input)
    }
}

/// What stands at this place, for a message.
fn found(input: &mut In<'_>) -> Res<(String, Range<usize>)> {
    blank(input)?;
    let start = input.current_token_start();
    let rest: &str = input.peek_slice(input.eof_offset());
    let Some(first) = rest.chars().next() else {
        return Ok(("the expression ends".to_owned(), start..start));
    };
    let len = match rest.find(|c| !in_word(c)).unwrap_or(rest.len()) {
        0 => first.len_utf8(),
        len => len,
    };
    Ok((format!("not {}", &rest[..len]), start..start + len))
}

fn missing<T>(input: &mut In<'_>, expected: &str) -> Res<T> {
    let (found, place) = found(input)?;
    fault(place, format!("{expected} is expected here, {found}"))
}

fn end(input: &mut In<'_>) -> Res<()> {
    if opt(eof).parse_next(input)?.is_some() {
        return Ok(());
    }
    missing(input, "`and`, `or` or the end")
}

fn any(input: &mut In<'_>) -> Res<Node> {
    let or = alt((keyword("or"), (blank, "||").void()));
    let mut nodes: Vec<Node> = separated(1.., all, or).parse_next(input)?;
    Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Any(nodes) })
}

fn all(input: &mut In<'_>) -> Res<Node> {
    let and = alt((keyword("and"), (blank, "&&").void()));
    let mut nodes: Vec<Node> = separated(1.., not, and).parse_next(input)?;
    Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::All(nodes) })
}

fn not(input: &mut In<'_>) -> Res<Node> {
    let negation = alt((keyword("not"), (blank, '!').void()));
    if opt(negation).parse_next(input)?.is_some() {
        return not(input).map(|node| Node::Not(Box::new(node)));
    }
    if opt((blank, '(')).parse_next(input)?.is_none() {
        return test(input);
    }
    let node = any(input)?;
    if opt((blank, ')')).parse_next(input)?.is_none() {
        return missing(input, "`)`, `and` or `or`");
    }
    Ok(node)
}

/// The keys that take a value which is compared with nothing.
const KEYS: [&str; 6] = ["host", "port", "state", "end", "closed-first", "anomaly"];

fn test(input: &mut In<'_>) -> Res<Node> {
    let Some((first, place)) = opt(word).parse_next(input)? else {
        return missing(input, "a test like `port 80`");
    };
    let role = value::role(first).ok();
    let start = input.checkpoint();
    let (key, place) = match role {
        None => (first.to_lowercase(), place),
        // `client 10.0.0.1` is short for `client host 10.0.0.1`.
        Some(_) => match opt(word).parse_next(input)? {
            Some((second, _)) if value::host(second).is_ok() => {
                input.reset(&start);
                ("host".to_owned(), place)
            }
            Some((second, place)) if !is_operator(second) => (second.to_lowercase(), place),
            _ => {
                input.reset(&start);
                return missing(input, "host, port, state or a metric of that end");
            }
        },
    };
    let compared = opt(comparison).parse_next(input)?;
    match QUANTITIES.into_iter().find(|(name, _)| *name == key) {
        Some((_, quantity)) => {
            if let (Some(role), Quantity::Lasted | Quantity::Handshake) = (role, quantity) {
                return not_of_an_end(place, &key, role);
            }
            let Some((comparison, _)) = compared else {
                return missing(input, &format!("`<`, `<=`, `=`, `!=`, `>=` or `>` after {key}"));
            };
            let limit = value_of(input, &key, |word| quantity.limit(word))?;
            Ok(Node::Test(Test::Quantity(role, quantity, comparison, limit)))
        }
        None => named(input, role, &key, place, compared),
    }
}

fn is_operator(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|operator| word.eq_ignore_ascii_case(operator))
}

fn not_of_an_end<T>(place: Range<usize>, key: &str, role: Role) -> Res<T> {
    fault(place, format!("{key} is the connection's, not the {}'s", role.name()))
}

/// A test by name: equal or not.
fn named(
    input: &mut In<'_>,
    role: Option<Role>,
    key: &str,
    place: Range<usize>,
    compared: Option<(Comparison, Range<usize>)>,
) -> Res<Node> {
    let of_an_end = matches!(key, "host" | "port" | "state");
    if !KEYS.contains(&key) {
        let mut known = KEYS.to_vec();
        known.extend(QUANTITIES.map(|(name, _)| name));
        known.extend(["client", "server", "not"]);
        return fault(place, format!("there is no test {key}: {}", value::advice(key, &known)));
    }
    if let (Some(role), false) = (role, of_an_end) {
        return not_of_an_end(place, key, role);
    }
    let negated = match compared {
        None | Some((Comparison::Equal, _)) => false,
        Some((Comparison::Unequal, _)) => true,
        Some((_, place)) => return fault(place, format!("{key} has no order: `=` or `!=`")),
    };
    let test = match key {
        "host" => Test::Host(role, value_of(input, key, value::host)?),
        "port" => Test::Port(role, value_of(input, key, value::ports)?),
        "state" => Test::State(role, value_of(input, key, value::state)?),
        "end" => Test::End(value_of(input, key, value::end)?),
        "closed-first" => Test::ClosedFirst(value_of(input, key, value::role)?),
        _ => Test::Anomaly(value_of(input, key, value::anomaly)?),
    };
    let test = Node::Test(test);
    Ok(if negated { Node::Not(Box::new(test)) } else { test })
}

fn value_of<T>(
    input: &mut In<'_>,
    key: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Res<T> {
    match opt(word).parse_next(input)? {
        Some((word, place)) => read(word).or_else(|what| fault(place, what)),
        None => missing(input, &format!("a value for {key}")),
    }
}

fn comparison(input: &mut In<'_>) -> Res<(Comparison, Range<usize>)> {
    let sign = alt((
        "<=".value(Comparison::AtMost),
        ">=".value(Comparison::AtLeast),
        "!=".value(Comparison::Unequal),
        "==".value(Comparison::Equal),
        "=".value(Comparison::Equal),
        "<".value(Comparison::Less),
        ">".value(Comparison::Greater),
    ));
    delimited(blank, sign.with_span(), blank).parse_next(input)
}
