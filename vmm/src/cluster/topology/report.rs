//! Complaints about a topology, with the line they are about.
//!
//! A person gets the source line with the place underlined; a program gets line, column and a stable code.

use super::Source;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::ops::Range;

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable word for programs, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Few words for the underlined place.
    #[serde(skip)]
    pub label: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the text that it is about.
    #[serde(skip)]
    pub span: Range<usize>,
}

impl Problem {
    /// A complaint about the bytes `span` of `text`; spans outside the text are cut to it.
    pub fn at(
        text: &str,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        Problem {
            code,
            message: message.into(),
            label: String::new(),
            help: None,
            line,
            column,
            span: start..end,
        }
    }

    /// The same with few words for the place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Largest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// All complaints as text for people, without a newline at the end.
pub fn render(source: &Source, problems: &[Problem], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for problem in problems {
        let annotation = AnnotationKind::Primary.span(problem.span.clone());
        let annotation = if problem.label.is_empty() {
            annotation
        } else {
            annotation.label(problem.label.as_str())
        };
        let snippet = Snippet::source(source.text.as_str())
            .path(source.name.as_str())
            .annotation(annotation);
        let mut report = vec![
            Level::ERROR
                .primary_title(problem.message.as_str())
                .element(snippet),
        ];
        if let Some(help) = &problem.help {
            report.push(Group::with_title(
                Level::HELP.secondary_title(help.as_str()),
            ));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&report));
        out.push('\n');
    }
    let count = problems.len();
    out.push_str(&format!(
        "\n{}: {count} {}",
        source.name,
        if count == 1 { "error" } else { "errors" }
    ));
    out
}
