//! What supervisor and system actors ask for, and exceptions.

mod devices;
mod exceptions;
mod site;
