"""Settings of all tests."""

from hypothesis import settings

# The first example of a property compiles kernels, and the machine may be busy: time is not what is tested.
settings.register_profile("dyadid", deadline=None)
settings.load_profile("dyadid")
