//! Small readers of JSON objects that refuse as Graph does: 131008 for what is missing, 131009 for
//! values that break a limit, 100 for names and kinds that Graph itself does not know.

use serde_json::{Map, Value};

use crate::graph::errors::GraphError;
use crate::graph::rows;

pub(crate) type Checked<T = ()> = Result<T, GraphError>;

/// An object of a request and the path that leads to it.
#[derive(Clone)]
pub(crate) struct Object<'b> {
    members: &'b Map<String, Value>,
    path: String,
}

pub(crate) fn missing(path: &str) -> GraphError {
    GraphError::from(rows::PARAMETER_MISSING)
        .with_details(&format!("Parameter '{path}' is mandatory"))
}

pub(crate) fn invalid(details: &str) -> GraphError {
    GraphError::from(rows::VALUE_INVALID).with_details(details)
}

fn of_kind(path: &str, kind: &str) -> GraphError {
    GraphError::parameter(&format!("Param {path} must be {kind}."))
}

impl<'b> Object<'b> {
    pub(crate) fn new(value: &'b Value, path: impl Into<String>) -> Checked<Self> {
        let path = path.into();
        match value.as_object() {
            Some(members) => Ok(Self { members, path }),
            None => Err(of_kind(&path, "a JSON object")),
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}['{name}']", self.path)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'b Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Refuses members that are not in the list.
    pub(crate) fn only(&self, known: &[&str]) -> Checked {
        match self
            .members
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some(key) => Err(GraphError::parameter(&format!(
                "Unexpected key \"{key}\" on param \"{}\".",
                self.path
            ))),
        }
    }

    /// A text of at most `max` characters; an empty one is as good as none.
    pub(crate) fn text(&self, name: &str, max: usize) -> Checked<Option<&'b str>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() > max => Err(invalid(&format!(
                "{} length invalid. Min length: 1, Max length: {max}",
                self.path(name)
            ))),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(of_kind(&self.path(name), "a string")),
        }
    }

    pub(crate) fn needed_text(&self, name: &str, max: usize) -> Checked<&'b str> {
        self.text(name, max)?
            .ok_or_else(|| missing(&self.path(name)))
    }

    pub(crate) fn object(&self, name: &str) -> Checked<Option<Object<'b>>> {
        self.value(name)
            .map(|value| Object::new(value, self.path(name)))
            .transpose()
    }

    pub(crate) fn needed_object(&self, name: &str) -> Checked<Object<'b>> {
        self.object(name)?.ok_or_else(|| missing(&self.path(name)))
    }

    pub(crate) fn list(&self, name: &str) -> Checked<Option<Vec<Object<'b>>>> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let items = value
            .as_array()
            .ok_or_else(|| of_kind(&self.path(name), "an array"))?;
        items
            .iter()
            .enumerate()
            .map(|(i, item)| Object::new(item, format!("{}[{i}]", self.path(name))))
            .collect::<Checked<Vec<_>>>()
            .map(Some)
    }

    /// A list whose length lies between the two bounds.
    pub(crate) fn needed_list(
        &self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Checked<Vec<Object<'b>>> {
        let items = self.list(name)?.ok_or_else(|| missing(&self.path(name)))?;
        if (least..=most).contains(&items.len()) {
            Ok(items)
        } else {
            Err(invalid(&format!(
                "{}: Invalid count. Min count: {least}, Max count: {most}",
                self.path(name)
            )))
        }
    }

    /// A number, or a text that is one: Meta's own material has both.
    pub(crate) fn number(&self, name: &str, least: f64, most: f64) -> Checked<Option<f64>> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Some(_) => Err(invalid(&format!(
                "{} must be between {least} and {most}",
                self.path(name)
            ))),
            None => Err(of_kind(&self.path(name), "a number")),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Checked {
        match self.value(name) {
            None | Some(Value::Bool(_)) => Ok(()),
            Some(_) => Err(of_kind(&self.path(name), "a boolean")),
        }
    }

    /// A text that must be one of a few.
    pub(crate) fn choice(&self, name: &str, choices: &[&str]) -> Checked<Option<&'b str>> {
        match self.text(name, usize::MAX)? {
            Some(text) if !choices.contains(&text) => Err(GraphError::parameter(&format!(
                "Param {} must be one of {{{}}} - got \"{text}\".",
                self.path(name),
                choices.join(", ").to_uppercase()
            ))),
            other => Ok(other),
        }
    }

    pub(crate) fn needed_choice(&self, name: &str, choices: &[&str]) -> Checked<&'b str> {
        self.choice(name, choices)?
            .ok_or_else(|| missing(&self.path(name)))
    }
}
