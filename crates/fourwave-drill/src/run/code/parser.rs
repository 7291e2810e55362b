//! Words to statements.

use crate::lex::code::{Kind, Token};
use crate::run::Error;

/// How deep expressions may nest.
const DEPTH: u32 = 64;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    /// Condition, message, and the condition as it was written.
    Assert(Expr, Option<Expr>, String),
    Assign(String, Expr),
    If(Expr, Vec<Statement>),
    /// `print` and anything whose value nobody wants.
    Evaluate(Vec<Expr>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Int(i128),
    Float(f64),
    Str(String),
    Name(String),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    Call(String, Vec<Expr>),
    Tuple(Vec<Expr>),
}

/// The most words of a statement: a long chain of operators nests as well.
const WORDS: usize = 500;

/// What Python has and this has not.
const FOREIGN: [&str; 12] = [
    "for", "while", "def", "class", "import", "from", "try", "with", "return", "lambda", "elif",
    "else",
];

/// Binary operators from the loosest to the tightest.
const LEVELS: [&[&str]; 6] =
    [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//", "/", "%"]];

pub(super) fn statements(code: &str, tokens: &[Token]) -> Result<Vec<Statement>, Error> {
    let mut parser = Parser { code, tokens, at: 0, depth: 0 };
    let mut list = Vec::new();
    loop {
        while parser.take_end() {}
        if parser.at == tokens.len() {
            return Ok(list);
        }
        list.push(parser.statement()?);
        if parser.at < tokens.len() && !parser.take_end() {
            return Err(parser.unexpected());
        }
    }
}

struct Parser<'a> {
    code: &'a str,
    tokens: &'a [Token],
    at: usize,
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn take_end(&mut self) -> bool {
        let found = self.peek() == Some(&Kind::End);
        self.at += usize::from(found);
        found
    }

    fn take_op(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Op(op)) if *op == wanted);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Name(name)) if name == wanted);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> Error {
        let what = match self.tokens.get(self.at) {
            Some(token) if token.kind != Kind::End => {
                format!(
                    "{:?} stands where nothing like it can",
                    &self.code[token.span.start..token.span.end]
                )
            }
            _ => "the code ends too early".to_owned(),
        };
        Error::Wrong(format!("code: {what}"))
    }

    fn statement(&mut self) -> Result<Statement, Error> {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        if rest.iter().take_while(|token| token.kind != Kind::End).count() > WORDS {
            return Err(Error::Wrong(format!("code: a statement has {WORDS} words at most")));
        }
        if let Some(Kind::Name(name)) = self.peek()
            && FOREIGN.contains(&name.as_str())
        {
            return Err(Error::Skip(format!("code with {name}")));
        }
        if self.take_word("assert") {
            return self.assertion();
        }
        if self.take_word("pass") {
            return Ok(Statement::Evaluate(Vec::new()));
        }
        if self.take_word("print") {
            let some = !matches!(self.peek(), None | Some(Kind::End));
            let values = if some { self.list()? } else { Vec::new() };
            return Ok(Statement::Evaluate(values));
        }
        if self.take_word("if") {
            return self.condition();
        }
        self.assignment()
    }

    fn assertion(&mut self) -> Result<Statement, Error> {
        let first = self.tokens.get(self.at).map_or(0, |token| token.span.start);
        let condition = self.expression()?;
        let last = self.tokens[self.at - 1].span.end;
        let message = if self.take_op(",") { Some(self.expression()?) } else { None };
        let text = self.code[first..last].split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Statement::Assert(condition, message, text))
    }

    fn condition(&mut self) -> Result<Statement, Error> {
        let condition = self.expression()?;
        if !self.take_op(":") {
            return Err(self.unexpected());
        }
        if matches!(self.peek(), None | Some(Kind::End)) {
            return Err(Error::Skip("code with a block after if".to_owned()));
        }
        self.deeper()?;
        let mut body = vec![self.statement()?];
        self.depth -= 1;
        // `if x: a; b` on one line: both belong to it.
        while self.same_line() {
            self.at += 1;
            if matches!(self.peek(), None | Some(Kind::End)) {
                break;
            }
            body.push(self.statement()?);
        }
        Ok(Statement::If(condition, body))
    }

    fn same_line(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| {
            token.kind == Kind::End && self.code[token.span.start..].starts_with(';')
        })
    }

    fn assignment(&mut self) -> Result<Statement, Error> {
        const AUGMENTED: [(&str, &str); 10] = [
            ("+=", "+"),
            ("-=", "-"),
            ("*=", "*"),
            ("/=", "/"),
            ("//=", "//"),
            ("%=", "%"),
            ("&=", "&"),
            ("|=", "|"),
            ("^=", "^"),
            ("<<=", "<<"),
        ];
        if let Some(Kind::Name(name)) = self.peek().cloned()
            && let Some(Kind::Op(op)) = self.tokens.get(self.at + 1).map(|token| &token.kind)
        {
            let augmented = AUGMENTED.iter().find(|(written, _)| written == op);
            if *op == "=" || augmented.is_some() {
                self.at += 2;
                let value = self.expression()?;
                let value = match augmented {
                    Some((_, op)) => {
                        Expr::Binary(op, Box::new(Expr::Name(name.clone())), Box::new(value))
                    }
                    None => value,
                };
                return Ok(Statement::Assign(name, value));
            }
        }
        Ok(Statement::Evaluate(vec![self.expression()?]))
    }

    fn list(&mut self) -> Result<Vec<Expr>, Error> {
        let mut list = vec![self.expression()?];
        while self.take_op(",") {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::Wrong("code: it nests too deep".to_owned()));
        }
        Ok(())
    }

    fn expression(&mut self) -> Result<Expr, Error> {
        self.deeper()?;
        let mut left = self.conjunction()?;
        while self.take_word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, Error> {
        let mut left = self.negation()?;
        while self.take_word("and") {
            left = Expr::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, Error> {
        if !self.take_word("not") {
            return self.comparison();
        }
        self.deeper()?;
        let inner = self.negation()?;
        self.depth -= 1;
        Ok(Expr::Unary("not", Box::new(inner)))
    }

    fn comparison(&mut self) -> Result<Expr, Error> {
        const OPERATORS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
        let first = self.binary(0)?;
        let mut chain = Vec::new();
        while let Some(Kind::Op(op)) = self.peek()
            && OPERATORS.contains(op)
        {
            let op = *op;
            self.at += 1;
            chain.push((op, self.binary(0)?));
        }
        Ok(if chain.is_empty() { first } else { Expr::Compare(Box::new(first), chain) })
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Error> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(Kind::Op(op)) = self.peek()
            && operators.contains(op)
        {
            let op = *op;
            self.at += 1;
            left = Expr::Binary(op, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        for op in ["-", "+", "~"] {
            if self.take_op(op) {
                self.deeper()?;
                let inner = self.unary()?;
                self.depth -= 1;
                return Ok(Expr::Unary(op, Box::new(inner)));
            }
        }
        self.atom()
    }

    fn atom(&mut self) -> Result<Expr, Error> {
        let Some(kind) = self.peek().cloned() else { return Err(self.unexpected()) };
        let value = match kind {
            Kind::Int(value) => Expr::Int(value),
            Kind::Float(value) => Expr::Float(value),
            Kind::Str(text) => Expr::Str(text),
            Kind::Op("(") => return self.parenthesis(),
            Kind::Name(name) => {
                self.at += 1;
                if !self.take_op("(") {
                    return Ok(Expr::Name(name));
                }
                let values = if self.take_op(")") { Vec::new() } else { self.arguments()? };
                return Ok(Expr::Call(name, values));
            }
            Kind::Op(_) | Kind::End => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(value)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Error> {
        let list = self.list()?;
        if self.take_op(")") { Ok(list) } else { Err(self.unexpected()) }
    }

    fn parenthesis(&mut self) -> Result<Expr, Error> {
        self.at += 1;
        let mut list = vec![self.expression()?];
        let mut tuple = false;
        while self.take_op(",") {
            tuple = true;
            if matches!(self.peek(), Some(Kind::Op(")"))) {
                break;
            }
            list.push(self.expression()?);
        }
        if !self.take_op(")") {
            return Err(self.unexpected());
        }
        match list.pop() {
            Some(one) if !tuple => Ok(one),
            last => {
                list.extend(last);
                Ok(Expr::Tuple(list))
            }
        }
    }
}
