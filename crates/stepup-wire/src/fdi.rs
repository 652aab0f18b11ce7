//! The version of the protocol that a client speaks.

use http::header::{HeaderMap, HeaderName};

/// The header: one version, or a comma list of all that the client can speak.
pub const FDI_VERSION: HeaderName = HeaderName::from_static("fdi-version");

/// The highest version that a client named; the newest if it named none that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdi(u16, u16);

impl Fdi {
    /// The newest version there is.
    pub const NEWEST: Self = Self(4, 2);

    /// Reads the version of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get_all(FDI_VERSION)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .filter_map(|version| {
                let (major, minor) = version.trim().split_once('.')?;
                Some((major.parse().ok()?, minor.parse().ok()?))
            })
            .max()
            .map_or(Self::NEWEST, |(major, minor)| Self(major, minor))
    }

    /// Whether the client knows users with several login methods. Versions 1.18, 1.19 and from 3.0 on do; older ones
    /// and the line of 2.x know flat users.
    pub fn knows_login_methods(self) -> bool {
        self.0 >= 3 || (self.0 == 1 && self.1 >= 18)
    }

    /// Whether the client sends `shouldTryLinkingWithSessionUser`.
    pub fn sends_linking_flag(self) -> bool {
        (self.0, self.1) >= (3, 1)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> Fdi {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FDI_VERSION, HeaderValue::from_static(line));
        }
        Fdi::of(&headers)
    }

    #[test]
    fn the_highest_of_a_list_counts_by_number() {
        assert_eq!(of(&["1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1"]), Fdi(4, 1));
        assert_eq!(of(&["1.9,1.18"]), Fdi(1, 18));
        assert_eq!(of(&["1.17", " 3.0 "]), Fdi(3, 0));
    }

    #[test]
    fn without_a_version_that_reads_the_newest_counts() {
        for lines in [&[][..], &[""], &["x"], &["4"], &["-1.0"], &["99999999.1"]] {
            assert_eq!(of(lines), Fdi::NEWEST, "{lines:?}");
        }
    }

    #[test]
    fn the_shape_of_users_follows_the_version() {
        for (version, known) in [
            ("1.17", false),
            ("1.18", true),
            ("1.19", true),
            ("2.0", false),
            ("3.0", true),
            ("4.2", true),
        ] {
            assert_eq!(of(&[version]).knows_login_methods(), known, "{version}");
        }
    }

    #[test]
    fn the_linking_flag_begins_with_three_one() {
        for (version, sent) in [("1.19", false), ("3.0", false), ("3.1", true), ("4.0", true)] {
            assert_eq!(of(&[version]).sends_linking_flag(), sent, "{version}");
        }
    }
}
