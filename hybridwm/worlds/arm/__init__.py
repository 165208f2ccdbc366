"""A robot arm at a table (extra [arm], MuJoCo): stereo on the wrist, a stereo stand, touch, things to push and lift."""
