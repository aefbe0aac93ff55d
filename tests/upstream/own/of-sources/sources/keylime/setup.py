from setuptools import setup

entry_points = {"console_scripts": ["keylime_agent = keylime:main", "keylime_ima_emulator = keylime:main"]}
setup(name="keylime", version="6.2.0", py_modules=["keylime"], entry_points=entry_points)
