"""The same numbers sooner, on the machine that there is.

``AccelerationHook`` applies all of it from outside, and commands that train start with the
allocator. Without this folder, the lines of ``mmseg_picie/__init__.py``, ``cli`` and
``apis/device_check`` that import it, and the line ``acceleration`` of the schedules in configs/,
training computes the same in more time and memory. docs/performance.md says what each measure is
worth.
"""
