//! What statements do.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use crate::run::code::parser::{Expr, Statement};
use crate::run::{Difference, Error, Shown};
use crate::symbols;
use crate::target::Facts;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int(i128),
    Float(f64),
    Str(String),
    Tuple(Vec<Value>),
}

impl Value {
    fn truth(&self) -> bool {
        match self {
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Tuple(list) => !list.is_empty(),
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Str(_) | Self::Tuple(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Str(text) => f.write_str(text),
            Self::Tuple(list) => {
                let parts: Vec<String> = list.iter().map(Value::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
        }
    }
}

/// The names that a snippet sees.
pub(super) struct Scope<'a> {
    pub(super) variables: &'a mut HashMap<String, Value>,
    pub(super) facts: Option<&'a Facts>,
}

fn wrong(what: impl fmt::Display) -> Error {
    Error::Wrong(format!("code: {what}"))
}

impl Scope<'_> {
    pub(super) fn run(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::Assert(condition, message, text) => {
                self.assert(condition, message.as_ref(), text)
            }
            Statement::Assign(name, value) => {
                let value = self.value(value)?;
                self.variables.insert(name.clone(), value);
                Ok(())
            }
            Statement::If(condition, body) => {
                if self.value(condition)?.truth() {
                    body.iter().try_for_each(|statement| self.run(statement))?;
                }
                Ok(())
            }
            Statement::Evaluate(list) => {
                list.iter().try_for_each(|expr| self.value(expr).map(drop))
            }
        }
    }

    fn assert(
        &mut self,
        condition: &Expr,
        message: Option<&Expr>,
        text: &str,
    ) -> Result<(), Error> {
        if self.value(condition)?.truth() {
            return Ok(());
        }
        let mut names = Vec::new();
        names_in(condition, &mut names);
        let values: Vec<String> = names
            .into_iter()
            .filter_map(|name| self.name(name).ok().map(|value| format!("{name} = {value}")))
            .collect();
        let message = match message {
            // `assert x == 1, x`: the value is told anyway.
            Some(expr @ (Expr::Str(_) | Expr::Binary(..))) => format!(": {}", self.value(expr)?),
            _ => String::new(),
        };
        Err(Error::Differs(Box::new(Difference {
            message: format!("assertion failed{message}"),
            expected: Some(Shown::differing(text)),
            actual: Some(Shown::differing(match values.is_empty() {
                true => "it is false".to_owned(),
                false => values.join(", "),
            })),
        })))
    }

    fn name(&self, name: &str) -> Result<Value, Error> {
        if let Some(value) = self.variables.get(name) {
            return Ok(value.clone());
        }
        let fact = self.facts.and_then(|facts| facts.get(name)).copied();
        let constant = || symbols::fact(name).or_else(|| symbols::constant(name));
        if let Some(value) = fact.or_else(constant) {
            return Ok(Value::Int(i128::from(value)));
        }
        match name {
            "True" => Ok(Value::Int(1)),
            "False" | "None" => Ok(Value::Int(0)),
            _ if name.starts_with("tcpi_") && self.facts.is_none() => {
                Err(wrong(format!("the socket under test has no TCP_INFO to take {name} from")))
            }
            _ if name.starts_with("tcpi_") || !name.contains(|c: char| c.is_lowercase()) => {
                Err(Error::Skip(format!("{name} in code")))
            }
            _ => Err(wrong(format!("name {name} is not defined"))),
        }
    }

    fn value(&self, expr: &Expr) -> Result<Value, Error> {
        Ok(match expr {
            Expr::Int(value) => Value::Int(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Str(text) => Value::Str(text.clone()),
            Expr::Name(name) => self.name(name)?,
            Expr::Unary(op, inner) => unary(op, self.value(inner)?)?,
            Expr::Binary(op, left, right) => binary(op, self.value(left)?, self.value(right)?)?,
            Expr::And(left, right) => {
                let left = self.value(left)?;
                if left.truth() { self.value(right)? } else { left }
            }
            Expr::Or(left, right) => {
                let left = self.value(left)?;
                if left.truth() { left } else { self.value(right)? }
            }
            Expr::Compare(first, chain) => self.compare(first, chain)?,
            Expr::Call(name, list) => call(name, &self.values(list)?)?,
            Expr::Tuple(list) => Value::Tuple(self.values(list)?),
        })
    }

    fn values(&self, list: &[Expr]) -> Result<Vec<Value>, Error> {
        list.iter().map(|expr| self.value(expr)).collect()
    }

    fn compare(&self, first: &Expr, chain: &[(&str, Expr)]) -> Result<Value, Error> {
        let mut left = self.value(first)?;
        for (op, right) in chain {
            let right = self.value(right)?;
            let order = order(&left, &right);
            let holds = match *op {
                "==" => order == Some(Ordering::Equal),
                "!=" => order != Some(Ordering::Equal),
                "<" => order == Some(Ordering::Less),
                "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                ">" => order == Some(Ordering::Greater),
                _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            };
            if !holds {
                return Ok(Value::Int(0));
            }
            left = right;
        }
        Ok(Value::Int(1))
    }
}

fn names_in<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    match expr {
        Expr::Name(name) if !names.contains(&name.as_str()) => names.push(name),
        Expr::Name(_) | Expr::Int(_) | Expr::Float(_) | Expr::Str(_) => {}
        Expr::Unary(_, inner) => names_in(inner, names),
        Expr::Binary(_, left, right) | Expr::And(left, right) | Expr::Or(left, right) => {
            names_in(left, names);
            names_in(right, names);
        }
        Expr::Compare(first, chain) => {
            names_in(first, names);
            chain.iter().for_each(|(_, expr)| names_in(expr, names));
        }
        Expr::Call(_, list) | Expr::Tuple(list) => {
            list.iter().for_each(|expr| names_in(expr, names));
        }
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Str(left), Value::Str(right)) => Some(left.cmp(right)),
        (Value::Tuple(left), Value::Tuple(right)) if left == right => Some(Ordering::Equal),
        _ => left.float()?.partial_cmp(&right.float()?),
    }
}

fn unary(op: &str, value: Value) -> Result<Value, Error> {
    match (op, value) {
        ("not", value) => Ok(Value::Int(i128::from(!value.truth()))),
        ("~", Value::Int(value)) => Ok(Value::Int(!value)),
        ("-", Value::Int(value)) => value.checked_neg().map(Value::Int).ok_or_else(too_large),
        ("-", Value::Float(value)) => Ok(Value::Float(-value)),
        ("+", value @ (Value::Int(_) | Value::Float(_))) => Ok(value),
        (op, value) => Err(wrong(format!("{op}{value} has no value"))),
    }
}

fn too_large() -> Error {
    wrong("a number is too large")
}

fn binary(op: &str, left: Value, right: Value) -> Result<Value, Error> {
    match (left, right) {
        (Value::Str(text), values) if op == "%" => format(&text, values).map(Value::Str),
        (Value::Str(left), Value::Str(right)) if op == "+" => {
            // Doubling again and again is bounded by the snippets' length.
            Ok(Value::Str((left + &right).chars().take(1 << 16).collect()))
        }
        (Value::Int(left), Value::Int(right)) if op != "/" => integers(op, left, right),
        (left, right) => match (left.float(), right.float()) {
            (Some(a), Some(b)) => floats(op, a, b),
            _ => Err(wrong(format!("{left} {op} {right} has no value"))),
        },
    }
}

fn integers(op: &str, left: i128, right: i128) -> Result<Value, Error> {
    if right == 0 && matches!(op, "//" | "%") {
        return Err(wrong("division by zero"));
    }
    let shift = || u32::try_from(right).ok().filter(|by| *by < 100);
    // Python rounds down, not towards zero.
    let down = || -> Option<i128> {
        let quotient = left.checked_div(right)?;
        let exact = left % right == 0 || (left < 0) == (right < 0);
        Some(if exact { quotient } else { quotient - 1 })
    };
    let value = match op {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "//" => down(),
        "%" => down().and_then(|quotient| left.checked_sub(quotient.checked_mul(right)?)),
        "&" => Some(left & right),
        "|" => Some(left | right),
        "^" => Some(left ^ right),
        "<<" => shift().and_then(|by| left.checked_mul(1i128 << by)),
        _ => shift().map(|by| left >> by),
    };
    value.map(Value::Int).ok_or_else(too_large)
}

fn floats(op: &str, left: f64, right: f64) -> Result<Value, Error> {
    if right == 0.0 && matches!(op, "/" | "//" | "%") {
        return Err(wrong("division by zero"));
    }
    Ok(Value::Float(match op {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        "//" => (left / right).floor(),
        "%" => left - right * (left / right).floor(),
        _ => return Err(wrong(format!("{op} wants whole numbers"))),
    }))
}

fn call(name: &str, values: &[Value]) -> Result<Value, Error> {
    let none = || wrong(format!("{name} of these has no value"));
    let extreme = |wanted: Ordering| {
        let mut best = values.first().ok_or_else(none)?;
        for value in values {
            if order(value, best).ok_or_else(none)? == wanted {
                best = value;
            }
        }
        Ok(best.clone())
    };
    match (name, values) {
        ("abs", [Value::Int(value)]) => value.checked_abs().map(Value::Int).ok_or_else(too_large),
        ("abs", [Value::Float(value)]) => Ok(Value::Float(value.abs())),
        ("int", [value]) => value.float().map(|f| Value::Int(f as i128)).ok_or_else(none),
        ("str", [value]) => Ok(Value::Str(value.to_string())),
        ("max", _) => extreme(Ordering::Greater),
        ("min", _) => extreme(Ordering::Less),
        ("abs" | "int" | "str", _) => Err(none()),
        _ => Err(Error::Skip(format!("{name}() in code"))),
    }
}

/// `'%d of %s' % (1, 2)`: every conversion takes the next value; widths are passed over.
fn format(text: &str, values: Value) -> Result<String, Error> {
    let values = match values {
        Value::Tuple(list) => list,
        one => vec![one],
    };
    let mut values = values.into_iter();
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let conversion = characters.find(|c| c.is_ascii_alphabetic() || *c == '%');
        match conversion {
            Some('%') => out.push('%'),
            Some('x') => match values.next() {
                Some(Value::Int(value)) => out.push_str(&format!("{value:x}")),
                _ => return Err(wrong("%x wants a whole number")),
            },
            Some(_) => {
                let value = values.next().ok_or_else(|| wrong("a text wants more values"))?;
                out.push_str(&value.to_string());
            }
            None => return Err(wrong("a text ends with %")),
        }
    }
    Ok(out)
}
