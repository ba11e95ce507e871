//! Meta's Embedded Signup as a sequence of steps that can be continued.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A step. They follow each other in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Step {
    /// The code of the browser becomes a token.
    ExchangeCode,
    /// The token is our app's and is for this account.
    CheckToken,
    /// The number is one of the account.
    ChooseNumber,
    /// Our app receives the account's webhooks.
    Subscribe,
    /// The number can send.
    Register,
    /// The configuration is the tenant's.
    Save,
    /// A message goes out.
    TestSend,
}

impl Step {
    pub(crate) const ALL: [Self; 7] = [
        Self::ExchangeCode,
        Self::CheckToken,
        Self::ChooseNumber,
        Self::Subscribe,
        Self::Register,
        Self::Save,
        Self::TestSend,
    ];
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum StepStatus {
    Done,
    Skipped,
    Failed,
    /// For something that a person must say.
    Waiting,
}

/// A number to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) phone_number_id: String,
    pub(crate) display_phone_number: Option<String>,
    pub(crate) verified_name: Option<String>,
}

/// The verdict on a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) step: Step,
    pub(crate) status: StepStatus,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) numbers: Vec<Choice>,
    pub(crate) at: DateTime<Utc>,
}

/// The codes that decide what comes next.
pub(crate) mod codes {
    pub(crate) const CHOOSE: &str = "CHOOSE_NUMBER";
    pub(crate) const NOT_IN_WABA: &str = "PHONE_NUMBER_NOT_IN_WABA";
    pub(crate) const PIN_NEEDED: &str = "PIN_NEEDED";
    pub(crate) const GRAPH_UNAVAILABLE: &str = "GRAPH_UNAVAILABLE";
}

/// Whether it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SignupStatus {
    Open,
    Completed,
    Abandoned,
}

/// What has to happen for a signup to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    ChooseNumber,
    GivePin,
    /// Continue as it is.
    Retry,
    /// Only another signup helps: there is no token, or it is not the right one.
    SignUpAgain,
}

/// A signup; its secrets stay sealed in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "ids are named as in the table and in answers"
)]
pub(crate) struct Signup {
    pub(crate) signup_id: Uuid,
    pub(crate) status: SignupStatus,
    pub(crate) waba_id: String,
    pub(crate) phone_number_id: Option<String>,
    pub(crate) business_id: Option<String>,
    pub(crate) token_expires_at: Option<DateTime<Utc>>,
    pub(crate) test_recipient: Option<String>,
    pub(crate) steps: Vec<Verdict>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl Signup {
    pub(crate) fn verdict(&self, step: Step) -> Option<&Verdict> {
        self.steps.iter().find(|verdict| verdict.step == step)
    }

    pub(crate) fn is_past(&self, step: Step) -> bool {
        self.verdict(step).is_some_and(|verdict| {
            matches!(verdict.status, StepStatus::Done | StepStatus::Skipped)
                // That a test went wrong undoes nothing.
                || (step == Step::TestSend && verdict.status == StepStatus::Failed)
        })
    }

    /// The first step that is not past.
    pub(crate) fn next_step(&self) -> Option<Step> {
        Step::ALL.into_iter().find(|step| !self.is_past(*step))
    }

    /// Puts a verdict in place of an earlier one on the same step.
    pub(crate) fn note(&mut self, verdict: Verdict) {
        self.steps.retain(|old| old.step != verdict.step);
        self.steps.push(verdict);
        self.steps
            .sort_by_key(|verdict| Step::ALL.iter().position(|step| *step == verdict.step));
    }

    /// Another number: what was found out about the former one counts no more. Nothing changes once
    /// the configuration is saved.
    pub(crate) fn choose(&mut self, phone_number_id: String) -> bool {
        let is_other = self.phone_number_id.as_ref() != Some(&phone_number_id)
            || !self.is_past(Step::ChooseNumber);
        let changes = is_other && !self.is_past(Step::Save);
        if changes {
            self.phone_number_id = Some(phone_number_id);
            let of_number = [Step::ChooseNumber, Step::Register];
            self.steps
                .retain(|verdict| !of_number.contains(&verdict.step));
        }
        changes
    }

    /// The numbers that the account was found to have.
    pub(crate) fn numbers(&self) -> &[Choice] {
        self.verdict(Step::ChooseNumber)
            .map_or(&[], |verdict| verdict.numbers.as_slice())
    }

    pub(crate) fn next(&self) -> Option<Next> {
        if self.status != SignupStatus::Open {
            return None;
        }
        let step = self.next_step()?;
        let code = self
            .verdict(step)
            .and_then(|verdict| verdict.code.as_deref());
        let is_outage = code == Some(codes::GRAPH_UNAVAILABLE);
        Some(match (step, self.verdict(step)) {
            // The code is gone either way: it lives for half a minute.
            (Step::ExchangeCode, _) => Next::SignUpAgain,
            (Step::CheckToken, Some(_)) if !is_outage => Next::SignUpAgain,
            (Step::ChooseNumber, Some(_))
                if matches!(code, Some(codes::CHOOSE | codes::NOT_IN_WABA)) =>
            {
                Next::ChooseNumber
            }
            (Step::Register, Some(_)) if code == Some(codes::PIN_NEEDED) => Next::GivePin,
            _ => Next::Retry,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signup() -> Signup {
        Signup {
            signup_id: Uuid::nil(),
            status: SignupStatus::Open,
            waba_id: "1".to_owned(),
            phone_number_id: None,
            business_id: None,
            token_expires_at: None,
            test_recipient: None,
            steps: Vec::new(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn verdict(step: Step, status: StepStatus) -> Verdict {
        Verdict {
            step,
            status,
            code: None,
            message: None,
            numbers: Vec::new(),
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn it_goes_on_at_the_first_step_that_is_not_past() {
        let mut signup = signup();
        for step in Step::ALL {
            assert_eq!(signup.next_step(), Some(step));
            signup.note(verdict(step, StepStatus::Failed));
            let past = step == Step::TestSend;
            assert_eq!(signup.is_past(step), past, "{step:?}");
            signup.note(verdict(step, StepStatus::Done));
        }
        assert_eq!(signup.next_step(), None);
        assert_eq!(signup.steps.len(), Step::ALL.len());
    }

    #[test]
    fn another_number_forgets_what_was_found_of_the_former() {
        let mut signup = signup();
        assert!(signup.choose("7".to_owned()));
        for step in &Step::ALL[..5] {
            signup.note(verdict(*step, StepStatus::Done));
        }
        assert!(!signup.choose("7".to_owned()), "the same");
        assert!(signup.choose("8".to_owned()));
        assert_eq!(signup.next_step(), Some(Step::ChooseNumber));
        assert!(signup.is_past(Step::Subscribe) && !signup.is_past(Step::Register));
        signup.note(verdict(Step::Save, StepStatus::Done));
        assert!(!signup.choose("9".to_owned()), "too late");
    }
}
