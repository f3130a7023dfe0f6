"""The commands of diffusion_report.py, a module each, and what they share."""
