//! Sign-in and sign-up by a provider of identities.

use crate::error::Fault;
use crate::factor::third_party::posts_back;
use crate::flow::third_party::{
    self, AskProvider, Departure, FromProvider, ProviderOutcome, ProviderRefusal,
};
use crate::flow::{Caller, CodeRefusal};
use crate::hook::{Done, Step};
use crate::id::TenantId;
use crate::session::access::AccessClaims;
use crate::stepup::Stepup;
use crate::stepup::turn::{Told, signed_in};

impl Stepup {
    /// Whether providers of identities sign in here, in some tenant.
    pub fn offers_providers(&self) -> bool {
        self.parts.third_party.is_some()
    }

    /// The providers that sign in in `tenant`: their ids, and their names for people.
    pub fn providers(&self, tenant: &TenantId) -> Vec<(String, String)> {
        let all = self.parts.providers_in(tenant);
        all.map(|held| (held.provider.id().to_owned(), held.provider.name().to_owned()))
            .collect()
    }

    /// Whether the provider `id` answers by a form post, and is on offer in `tenant`.
    pub fn takes_form_post(&self, tenant: &TenantId, id: &str) -> bool {
        posts_back(id)
            && self
                .parts
                .providers_in(tenant)
                .any(|held| held.provider.id() == id)
    }

    /// Whether a form that the provider `id` posts is handed on to `uri`, which is compared as it is written (threat A-OAU-14).
    pub fn hands_on(&self, id: &str, uri: &str) -> bool {
        let factor = self.parts.third_party.as_ref();
        factor.is_some_and(|factor| factor.hands_on(&self.parts.app, id, uri))
    }

    /// Begins a sign-in by a provider: where the browser is to go, and what it keeps until it is back.
    ///
    /// # Errors
    /// [`ProviderRefusal`], as the inner error; [`Fault`].
    pub async fn ask_provider(
        &self,
        caller: &Caller,
        ask: AskProvider<'_>,
    ) -> Result<Result<Departure, ProviderRefusal>, Fault> {
        let provider = ask.provider.to_owned();
        let turn = self.turn(caller, Step::AskProvider { provider }).await?;
        turn.end(third_party::begin(&self.parts, caller, ask)).await
    }

    /// Signs in, or up, whom a provider vouches for. A second factor that the policy demands is still due.
    ///
    /// # Errors
    /// [`Fault`]: no session was opened.
    pub async fn sign_in_by_provider(
        &self,
        caller: &Caller,
        from: FromProvider<'_>,
    ) -> Result<ProviderOutcome, Fault> {
        let provider = from.provider.to_owned();
        let turn = self.turn(caller, Step::SignInByProvider { provider }).await?;
        turn.end(third_party::sign_in(&self.parts, caller, from)).await
    }

    /// Adds whom a provider vouches for to the user behind `access`, whose session has to be complete and its strongest
    /// factor no older than the step-up age. The session goes on, and the user's others end.
    ///
    /// # Errors
    /// What the session lacks, as the inner error; [`Fault`].
    pub async fn link_provider(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        from: FromProvider<'_>,
    ) -> Result<Result<ProviderOutcome, CodeRefusal>, Fault> {
        let provider = from.provider.to_owned();
        let turn = self.turn(caller, Step::SignInByProvider { provider }).await?;
        turn.end(third_party::link(&self.parts, caller, access, from))
            .await
    }
}

impl Told for Result<Departure, ProviderRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(_) => Done::Granted,
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for ProviderOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::SignedIn {
                signed_in: opened, ..
            } => signed_in(opened),
            Self::NoEmail => Done::Refused("no_email"),
            Self::NotAllowed(bar) => Done::Refused(bar.word()),
            Self::Refused(refusal) => Done::Refused(refusal.word()),
            Self::Restart => Done::Refused("restart"),
        }
    }
}

impl Told for Result<ProviderOutcome, CodeRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(outcome) => outcome.done(),
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}
