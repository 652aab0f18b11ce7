//! The types that every adapter has. Frameworks let an adapter implement their traits for types of its own only, so these
//! are written out in each, from here: what an application calls is the same on all of them.

/// Defines `Session<R>`, `OptionalSession<R>`, `SignIn` and `Rejection`. What makes them of a request, and a response of the
/// rejection, is each framework's.
#[doc(hidden)]
#[macro_export]
macro_rules! guard_types {
    () => {
        /// A session that meets `R`; without a parameter, the site's policy.
        ///
        /// As an argument of a handler it refuses with 401 a request without a session, and with 403 a session that does not
        /// meet `R`. What it changes of the session reaches the client with the response, whatever its status.
        #[derive(Debug)]
        pub struct Session<R = $crate::core::require::SitePolicy>($crate::Session<R>);

        impl<R> Session<R> {
            /// Ends the session, and tells the client so.
            ///
            /// # Errors
            /// [`Fault`](stepup_wire::core::error::Fault); its tokens are refused by this process all the same.
            pub async fn revoke(self) -> Result<(), $crate::core::error::Fault> {
                self.0.revoke().await
            }
        }

        impl<R> ::std::ops::Deref for Session<R> {
            type Target = $crate::Session<R>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<R> ::std::ops::DerefMut for Session<R> {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        /// A session that meets `R`, or none: `None` if the request carries no token. An expired token is still an error,
        /// and so is a session that does not meet `R`.
        ///
        /// It is not the same as `Option<Session<R>>`, which some frameworks fill with `None` on every error.
        #[derive(Debug)]
        pub struct OptionalSession<R = $crate::core::require::SitePolicy>(pub Option<Session<R>>);

        /// A sign-in by the application's own first factor, in a log-in handler of its own. The request's origin was judged.
        #[derive(Debug)]
        pub struct SignIn(pub $crate::SignIn);

        impl SignIn {
            /// Counts the try, before anything is compared. `identifier` is what the account is called, in normal form.
            ///
            /// # Errors
            /// [`Rejection`]: 429, or 503 if nobody could count. Do not check the password.
            pub async fn throttle(&mut self, identifier: &str) -> Result<(), Rejection> {
                Ok(self.0.throttle(identifier).await?)
            }

            /// The first factor was wrong. What the client is told is the application's affair.
            ///
            /// # Errors
            /// [`Rejection`]: nobody could count.
            pub async fn failed(self) -> Result<(), Rejection> {
                Ok(self.0.failed().await?)
            }

            /// The first factor was right: opens a session for `user`, which comes from the application's own row and
            /// never from the request. The tokens go out with the response.
            ///
            /// # Errors
            /// [`Rejection`]: the user is disabled or deleted, or the store failed. No session was opened.
            pub async fn complete(
                self,
                user: &$crate::core::id::UserId,
                external: $crate::core::flow::External,
            ) -> Result<$crate::core::id::SessionHandle, Rejection> {
                Ok(self.0.complete(user, external).await?)
            }
        }

        /// A request was refused; it knows its response.
        #[derive(Debug)]
        pub struct Rejection($crate::Refused);

        impl From<$crate::Refused> for Rejection {
            fn from(refused: $crate::Refused) -> Self {
                Self(refused)
            }
        }

        impl From<$crate::SessionError> for Rejection {
            /// So that a handler can pass it on by `?`.
            fn from(error: $crate::SessionError) -> Self {
                Self(error.into())
            }
        }

        impl From<$crate::SignInError> for Rejection {
            /// So that a log-in handler can pass it on by `?`.
            fn from(error: $crate::SignInError) -> Self {
                Self(error.into())
            }
        }
    };
}
