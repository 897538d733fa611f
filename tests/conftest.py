"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("beaver", deadline=None)  # machines are slow at times: no test is about seconds
settings.load_profile("beaver")
