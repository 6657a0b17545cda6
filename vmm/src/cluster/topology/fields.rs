//! Taking a table of the file apart, field by field.
//!
//! The reader goes on after a complaint, so that one run shows every mistake of a file; that is why this is not a plain
//! `derive(Deserialize)`, which stops at the first.

use super::names::nearest;
use super::report::Problem;
use std::cell::RefCell;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the bytes of the text where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub value: T,
    /// Its bytes.
    pub span: Range<usize>,
}

/// Where complaints go.
pub(super) struct Reader<'t> {
    /// The whole text.
    pub text: &'t str,
    /// What was complained about so far.
    pub problems: RefCell<Vec<Problem>>,
}

impl Reader<'_> {
    /// Files a complaint.
    pub fn complain(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// A complaint about these bytes, to be filed.
    pub fn at(
        &self,
        span: &Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Problem {
        Problem::at(self.text, span.clone(), code, message)
    }
}

/// One table being read. Keys that nobody asks for are complained about by [`Fields::finish`].
pub(super) struct Fields<'r, 't> {
    reader: &'r Reader<'t>,
    table: &'r DeTable<'t>,
    what: &'static str,
    asked: Vec<&'static str>,
    /// Bytes of the table.
    pub span: Range<usize>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl<'r, 't> Fields<'r, 't> {
    /// Begins with a table; `what` is its name in complaints, such as `[[site]]`.
    pub fn new(
        reader: &'r Reader<'t>,
        table: &'r DeTable<'t>,
        span: Range<usize>,
        what: &'static str,
    ) -> Self {
        Fields {
            reader,
            table,
            what,
            asked: Vec::new(),
            span,
        }
    }

    /// Begins with a value that must be a table.
    pub fn of(reader: &'r Reader<'t>, value: &'r Value<'t>, what: &'static str) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(reader, table, value.span(), what)),
            other => {
                reader.complain(mismatch(reader, value.span(), what, "a table", other));
                None
            }
        }
    }

    /// The value of a key.
    pub fn take(&mut self, key: &'static str) -> Option<&'r Value<'t>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// A text.
    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        text_of(self.reader, value, key)
    }

    /// A whole number from `range`; `code` and `help` are for one outside it.
    pub fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
        code: &'static str,
        help: &str,
    ) -> Option<At<u64>> {
        let value = self.take(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.reader.complain(mismatch(
                self.reader,
                value.span(),
                key,
                "a whole number",
                value.get_ref(),
            ));
            return None;
        };
        match i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
        {
            Some(number) if range.contains(&number) => Some(At {
                value: number,
                span: value.span(),
            }),
            _ => {
                let message = format!(
                    "`{key}` is {}, but must be {} to {}",
                    integer.as_str(),
                    range.start(),
                    range.end()
                );
                self.reader.complain(
                    self.reader
                        .at(&value.span(), code, message)
                        .label("out of range")
                        .help(help),
                );
                None
            }
        }
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A text that `parse` turns into a value; its error is the complaint.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        code: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        match parse(&text.value) {
            Ok(value) => Some(At {
                value,
                span: text.span,
            }),
            Err(why) => {
                self.reader
                    .complain(self.reader.at(&text.span, code, format!("`{key}`: {why}")));
                None
            }
        }
    }

    /// The elements of an array.
    pub fn array(
        &mut self,
        key: &'static str,
    ) -> impl Iterator<Item = &'r Value<'t>> + use<'r, 't> {
        let found = match self.take(key) {
            None => None,
            Some(value) => match value.get_ref() {
                DeValue::Array(array) => Some(array),
                other => {
                    self.reader.complain(mismatch(
                        self.reader,
                        value.span(),
                        key,
                        "an array",
                        other,
                    ));
                    None
                }
            },
        };
        found.into_iter().flat_map(|array| array.iter())
    }

    /// Complains about a key that must be there.
    pub fn missing(&self, key: &'static str, help: &str) {
        let problem = self.reader.at(
            &self.span,
            "missing-key",
            format!("{} has no `{key}`", self.what),
        );
        self.reader.complain(problem.help(help));
    }

    /// Complains about every key that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let problem = self.reader.at(
                &key.span(),
                "unknown-key",
                format!("unknown key `{name}` in {}", self.what),
            );
            let help = match nearest(name, self.asked.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", self.asked.join(", ")),
            };
            self.reader.complain(problem.label("not a key").help(help));
        }
    }
}

/// The text in a value, or a complaint.
pub(super) fn text_of(reader: &Reader<'_>, value: &Value<'_>, key: &str) -> Option<At<String>> {
    match value.get_ref() {
        DeValue::String(text) => Some(At {
            value: text.to_string(),
            span: value.span(),
        }),
        other => {
            reader.complain(mismatch(
                reader,
                value.span(),
                key,
                "a text in quotes",
                other,
            ));
            None
        }
    }
}

fn mismatch(
    reader: &Reader<'_>,
    span: Range<usize>,
    key: &str,
    wanted: &str,
    found: &DeValue<'_>,
) -> Problem {
    let found = match found {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    reader
        .at(
            &span,
            "type",
            format!("`{key}` must be {wanted}, not {found}"),
        )
        .label(found)
}
