"""Watches live searches: do they find what an exact search would?"""
