//! Names, and the nearest right one for a wrong one.
//!
//! A "did you mean" is worth offering only when it is nearly what was typed; the distance is that of Damerau and Levenshtein.

use super::NAME_MAX;

/// Whether a name can be a cluster's or a site's: it becomes a file name and a word on a command line.
/// Errors: a sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    let start = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if start
        && name.len() <= NAME_MAX
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
        && name != "all"
    {
        return Ok(());
    }
    Err(match name {
        "all" => "\"all\" means every site and cannot be a name".to_owned(),
        _ => format!(
            "\"{name}\" is not a name: a letter first, then letters, digits, \"-\" and \"_\", at most {NAME_MAX} in all"
        ),
    })
}

/// The candidate nearest to `wrong`, when it is near enough to be meant.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 3);
    let scored = candidates
        .into_iter()
        .map(|candidate| (distance(wrong, candidate), candidate));
    scored
        .filter(|(score, _)| *score <= limit)
        .min_by_key(|(score, _)| *score)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words; swapping two neighbours is one.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let swap = if swapped {
                        rows[i - 2][j - 2] + 1
                    } else {
                        usize::MAX
                    };
                    change
                        .min(swap)
                        .min(rows[i - 1][j] + 1)
                        .min(rows[i][j - 1] + 1)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("vcpu", ["vcpus", "mem"]), Some("vcpus"));
        assert_eq!(nearest("nmae", ["name", "mem"]), Some("name"));
        assert_eq!(nearest("colour", ["name", "mem"]), None);
    }

    #[test]
    fn names_are_words() {
        assert!(check_name("web-1").is_ok());
        for bad in [
            "",
            "1",
            "a b",
            "../x",
            "all",
            "ä",
            &"x".repeat(NAME_MAX + 1),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
