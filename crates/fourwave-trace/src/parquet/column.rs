//! A table's columns: their names, types and values, and the rows that wait to be written.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::types::{Type, TypePtr};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A port.
    Int,
    /// A count, bytes, microseconds.
    Long,
    /// A rate.
    Double,
    /// Microseconds since the epoch of Unix, in UTC.
    Timestamp,
    /// UTF-8.
    Text,
    /// A list of texts; never null, but may be empty.
    Texts,
}

impl Kind {
    /// As engines call it in SQL.
    #[cfg(test)]
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Long => "BIGINT",
            Self::Double => "DOUBLE",
            Self::Timestamp => "TIMESTAMP",
            Self::Text => "TEXT",
            Self::Texts => "TEXT[]",
        }
    }
}

/// One row's value in one column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i32),
    Long(i64),
    Double(f64),
    Text(ByteArray),
    Texts(Vec<ByteArray>),
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Int(value.into())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Long(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        // Engines know no unsigned numbers; no count gets there.
        Self::Long(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

/// In microseconds: a time since the epoch of Unix, or a span.
impl From<Duration> for Value {
    fn from(value: Duration) -> Self {
        Self::Long(micros(value))
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Text(Bytes::from_static(value.as_bytes()).into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value.into_bytes().into())
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Text(value.into())
    }
}

impl From<IpAddr> for Value {
    fn from(value: IpAddr) -> Self {
        value.to_string().into()
    }
}

impl FromIterator<String> for Value {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Self {
        Self::Texts(texts.into_iter().map(|text| text.into_bytes().into()).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Whole microseconds.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A column's name and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it has a value in every row.
    pub(super) always: bool,
}

/// A column and how its value is taken from what a row is made of: `F` is a function of that.
pub(super) struct Column<F> {
    pub(super) field: Field,
    pub(super) value: F,
}

impl<F> Column<F> {
    /// A column with a value in every row.
    pub(super) const fn always(name: &'static str, kind: Kind, value: F) -> Self {
        Self { field: Field { name, kind, always: true }, value }
    }

    /// A column that may be null.
    pub(super) const fn maybe(name: &'static str, kind: Kind, value: F) -> Self {
        Self { field: Field { name, kind, always: false }, value }
    }
}

impl Field {
    fn described(self) -> Result<Type> {
        let repetition = if self.always { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let plain = |physical| Type::primitive_type_builder(self.name, physical);
        let plain = match self.kind {
            Kind::Int => plain(Physical::INT32),
            Kind::Long => plain(Physical::INT64),
            Kind::Double => plain(Physical::DOUBLE),
            Kind::Timestamp => plain(Physical::INT64)
                .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
            Kind::Text => plain(Physical::BYTE_ARRAY).with_logical_type(Some(LogicalType::String)),
            Kind::Texts => return texts(self.name),
        };
        plain.with_repetition(repetition).build()
    }
}

/// A list as the format's specification wants it: in three levels.
fn texts(name: &str) -> Result<Type> {
    let element = Type::primitive_type_builder("element", Physical::BYTE_ARRAY)
        .with_logical_type(Some(LogicalType::String))
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element.into()])
        .build()?;
    Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_converted_type(ConvertedType::LIST)
        .with_fields(vec![list.into()])
        .build()
}

/// The schema of a table with these columns.
pub(super) fn schema(name: &str, fields: &[Field]) -> Result<TypePtr> {
    let fields = fields.iter().map(|field| field.described().map(Into::into));
    let fields = fields.collect::<Result<Vec<_>>>()?;
    Ok(Type::group_type_builder(name).with_fields(fields).build()?.into())
}

/// One column of the rows that wait to be written.
pub(super) struct Waiting {
    always: bool,
    values: Values,
    /// For each entry, whether it has a value: 0 or 1.
    defined: Vec<i16>,
    /// For each entry of a list, whether it goes on with the row before: 0 or 1.
    repeated: Vec<i16>,
}

enum Values {
    Int(Vec<i32>),
    Long(Vec<i64>),
    Double(Vec<f64>),
    Text(Vec<ByteArray>),
    Texts(Vec<ByteArray>),
}

impl Waiting {
    pub(super) fn new(field: Field) -> Self {
        let values = match field.kind {
            Kind::Int => Values::Int(Vec::new()),
            Kind::Long | Kind::Timestamp => Values::Long(Vec::new()),
            Kind::Double => Values::Double(Vec::new()),
            Kind::Text => Values::Text(Vec::new()),
            Kind::Texts => Values::Texts(Vec::new()),
        };
        Self { always: field.always, values, defined: Vec::new(), repeated: Vec::new() }
    }

    /// One more row.
    ///
    /// # Panics
    /// The value is not of the column's kind, or null where there is always one: the table of
    /// columns is wrong.
    pub(super) fn push(&mut self, value: Value) {
        match (&mut self.values, value) {
            (Values::Texts(all), Value::Texts(texts)) => {
                for index in 0..texts.len().max(1) {
                    self.defined.push(i16::from(!texts.is_empty()));
                    self.repeated.push(i16::from(index > 0));
                }
                all.extend(texts);
                return;
            }
            (_, Value::Null) if !self.always => {
                self.defined.push(0);
                return;
            }
            (Values::Int(all), Value::Int(value)) => all.push(value),
            (Values::Long(all), Value::Long(value)) => all.push(value),
            (Values::Double(all), Value::Double(value)) => all.push(value),
            (Values::Text(all), Value::Text(value)) => all.push(value),
            (_, value) => panic!("a value that its column cannot hold: {value:?}"),
        }
        if !self.always {
            self.defined.push(1);
        }
    }

    /// Writes the rows and forgets them; the memory is kept.
    pub(super) fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<()> {
        let list = matches!(self.values, Values::Texts(_));
        let defined = (list || !self.always).then_some(self.defined.as_slice());
        let repeated = list.then_some(self.repeated.as_slice());
        match &mut self.values {
            Values::Int(values) => {
                column.typed::<Int32Type>().write_batch(values, defined, repeated)?;
                values.clear();
            }
            Values::Long(values) => {
                column.typed::<Int64Type>().write_batch(values, defined, repeated)?;
                values.clear();
            }
            Values::Double(values) => {
                column.typed::<DoubleType>().write_batch(values, defined, repeated)?;
                values.clear();
            }
            Values::Text(values) | Values::Texts(values) => {
                column.typed::<ByteArrayType>().write_batch(values, defined, repeated)?;
                values.clear();
            }
        }
        self.defined.clear();
        self.repeated.clear();
        column.close()
    }
}
