"""This machine: each step a process of this Python; schedules by cron or systemd."""
