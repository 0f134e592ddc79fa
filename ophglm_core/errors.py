"""Errors that a user can fix. Each message is one sentence naming the thing and the fix."""


class OphglmError(Exception):
    """Base of all errors that are the input's and not the program's."""


class InputError(OphglmError):
    """A picture, folder or table given as input cannot be used."""


class UsageError(OphglmError):
    """An option's value cannot be used: a model folder, an LLM file, a device, a name."""
