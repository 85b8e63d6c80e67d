//! Reads a Rust source the way the rules need it: tokens and the paths they name, each with its line, so that neither
//! a comment nor a string nor a line break deceives a rule.

use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token. A group stands as its opening and its closing delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Whether it stands inside an item marked `#[cfg(test)]`.
    pub(crate) test: bool,
    pub(crate) ident: bool,
}

/// A path as it is written, or as a `use` tree spells it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
    /// The inline modules that it stands in, outermost first.
    pub(crate) within: Vec<String>,
    /// Whether it is a `pub use`.
    pub(crate) exported: bool,
}

/// A source, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) tokens: Vec<Token>,
    pub(crate) paths: Vec<Path>,
}

impl Source {
    /// Takes `text` apart.
    pub(crate) fn parse(text: &str) -> Result<Source, String> {
        let stream = TokenStream::from_str(text).map_err(|error| error.to_string())?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        mark_tests(&mut tokens);
        let paths = paths(&tokens);
        Ok(Source { tokens, paths })
    }
}

fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: String, line: usize, ident: bool| out.push(Token { text, line, test: false, ident });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open.to_owned(), line, false);
                let end = group.span_close().start().line;
                flatten(group.stream(), out);
                out.push(Token { text: close.to_owned(), line: end, test: false, ident: false });
            }
            TokenTree::Ident(ident) => push(ident.to_string(), line, true),
            TokenTree::Punct(punct) => push(punct.as_char().to_string(), line, false),
            TokenTree::Literal(_) => push("\"\"".to_owned(), line, false),
        }
    }
}

fn is_open(text: &str) -> bool {
    matches!(text, "(" | "{" | "[")
}

fn is_close(text: &str) -> bool {
    matches!(text, ")" | "}" | "]")
}

/// The texts from `at` on are these.
fn spells(tokens: &[Token], at: usize, texts: &[&str]) -> bool {
    tokens.len() >= at + texts.len() && tokens[at..].iter().zip(texts).all(|(token, text)| token.text == *text)
}

fn mark_tests(tokens: &mut [Token]) {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at < tokens.len() {
        if !spells(tokens, at, &CFG_TEST) {
            at += 1;
            continue;
        }
        let end = end_of_item(tokens, at + CFG_TEST.len());
        for token in &mut tokens[at..end] {
            token.test = true;
        }
        at = end;
    }
}

/// One past the item (with its further attributes) that begins at `at`.
fn end_of_item(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(at) {
        if is_open(&token.text) {
            depth += 1;
        } else if is_close(&token.text) {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
            return at + 1;
        }
    }
    tokens.len()
}

fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut out = Vec::new();
    let mut modules: Vec<(String, usize)> = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && tokens[at - 2].text == "mod" && tokens[at - 1].ident {
                    modules.push((tokens[at - 1].text.clone(), depth));
                }
            }
            "}" => {
                modules.retain(|(_, opened)| *opened < depth);
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        if !token.ident {
            at += 1;
            continue;
        }
        let within: Vec<String> = modules.iter().map(|(name, _)| name.clone()).collect();
        let (line, test) = (token.line, token.test);
        let mut found = Vec::new();
        let exported = at > 0 && tokens[at - 1].text == "pub";
        let precise_capture = tokens.get(at + 1).is_some_and(|next| next.text == "<");
        let end = if token.text == "use" && !precise_capture {
            use_tree(tokens, at + 1, &[], &mut found)
        } else {
            plain_path(tokens, at, &mut found)
        };
        let in_use = token.text == "use";
        out.extend(found.into_iter().map(|(segments, path_line)| Path {
            segments,
            line: if in_use { path_line } else { line },
            test,
            within: within.clone(),
            exported: exported && in_use,
        }));
        at = end.max(at + 1);
    }
    out
}

type Found = Vec<(Vec<String>, usize)>;

fn plain_path(tokens: &[Token], at: usize, out: &mut Found) -> usize {
    let mut segments = vec![tokens[at].text.clone()];
    let mut end = at + 1;
    while spells(tokens, end, &[":", ":"]) && tokens.get(end + 2).is_some_and(|token| token.ident) {
        segments.push(tokens[end + 2].text.clone());
        end += 3;
    }
    out.push((segments, tokens[at].line));
    end
}

/// One branch of a `use` tree; returns where it ends.
fn use_tree(tokens: &[Token], at: usize, prefix: &[String], out: &mut Found) -> usize {
    let mut segments = prefix.to_vec();
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            ":" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = use_tree(tokens, at, &segments, out);
                    if tokens.get(at).is_some_and(|token| token.text == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => at += 2,
            "," | ";" | "}" => break,
            "self" if !segments.is_empty() => at += 1,
            text => {
                segments.push(text.to_owned());
                at += 1;
            }
        }
    }
    let line = at.checked_sub(1).and_then(|last| tokens.get(last)).map_or(0, |token| token.line);
    out.push((segments, line));
    at
}
