"""This machine: each step a process of this Python; schedules in the crontab."""
