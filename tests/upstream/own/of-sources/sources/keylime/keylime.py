def main():
    print("stands in")
